//! The functions of the demo.

use std::time::Duration;

use super::{
    DemoError,
    exporter::{
        Exporters,
        Transport::{self, Grpc, Http},
    },
    function::{Function, Settings},
};

/// An instance that outlives the demo.
const LASTING: u32 = u32::MAX;

/// All functions, by name.
pub(super) struct Functions {
    /// Takes new members in.
    pub(super) sign_up: Function,
    /// Greets them.
    pub(super) send_welcome_mail: Function,
    /// Puts them on lists.
    pub(super) subscribe: Function,
    /// Counts what happened.
    pub(super) track_events: Function,
    /// Stands in front of the orders and looks who asks.
    pub(super) authorize_request: Function,
    /// Shows orders.
    pub(super) orders_api: Function,
    /// Lets members in.
    pub(super) login: Function,
    /// Sends a code; its instances live shortly, so that it often starts cold.
    pub(super) one_time_password: Function,
    /// Takes a file.
    pub(super) upload_file: Function,
    /// Makes it small.
    pub(super) thumbnail: Function,
    /// Reads a long list page by page, by calling itself for the next page.
    pub(super) list_pages: Function,
    /// Tells followers of a new post.
    pub(super) notify_followers: Function,
}

impl Functions {
    /// Deploys all functions. Blocks, and needs a runtime around it.
    pub(super) fn deploy(exporters: &mut Exporters) -> Result<Self, DemoError> {
        let mut deploy = |name, transport: Transport, memory_mib, init_ms, runs_per_instance| {
            let init = Duration::from_millis(init_ms);
            Function::deploy(Settings { name, transport, memory_mib, init, runs_per_instance }, exporters)
        };
        Ok(Self {
            sign_up: deploy("sign-up", Grpc, 256, 250, 200)?,
            send_welcome_mail: deploy("send-welcome-mail", Http, 256, 300, 120)?,
            subscribe: deploy("subscribe", Grpc, 128, 200, 150)?,
            track_events: deploy("track-events", Http, 512, 350, LASTING)?,
            authorize_request: deploy("authorize-request", Grpc, 128, 150, 400)?,
            orders_api: deploy("orders-api", Http, 512, 400, 300)?,
            login: deploy("login", Grpc, 256, 200, 200)?,
            one_time_password: deploy("one-time-password", Http, 1024, 1_200, 6)?,
            upload_file: deploy("upload-file", Grpc, 512, 250, 100)?,
            thumbnail: deploy("thumbnail", Http, 1024, 500, LASTING)?,
            list_pages: deploy("list-pages", Grpc, 256, 200, LASTING)?,
            notify_followers: deploy("notify-followers", Http, 256, 250, LASTING)?,
        })
    }
}
