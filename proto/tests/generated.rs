//! The committed types and descriptors are those that the schema gives.
//!
//! `UPDATE_GENERATED=1 cargo test -p loopscope-proto` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
    source_code_info::Location,
};

const UPDATE: &str = "UPDATE_GENERATED";

/// Services stand in the same file as the messages, but only who asks for them pays for tonic.
const ONLY_WITH_TONIC: &str = "#[cfg(feature = \"tonic\")]";

#[test]
fn committed_types_and_descriptors_match_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([root]).unwrap();
    compiler.include_source_info(true).include_imports(true).open_files(schema_files(root)).unwrap();
    let mut descriptors = compiler.file_descriptor_set();
    keep_comments(&mut descriptors);

    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut config = prost_build::Config::new();
    config.out_dir(out).message_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]\n#[serde(default)]");
    for (path, module) in special_fields(&descriptors) {
        config.field_attribute(path, format!("#[serde(with = \"crate::json::{module}\")]"));
    }
    let services = tonic_prost_build::configure()
        .build_transport(false)
        .client_mod_attribute(".", ONLY_WITH_TONIC)
        .server_mod_attribute(".", ONLY_WITH_TONIC)
        .service_generator();
    config.service_generator(services).compile_fds(descriptors.clone()).unwrap();

    let types = fs::read(out.join("loopscope.v1.rs")).unwrap();
    let committed = [("loopscope.v1.rs", types), ("loopscope.v1.bin", descriptors.encode_to_vec())];
    for (name, generated) in committed {
        let path = root.join("src/generated").join(name);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let is_fresh = fs::read(&path).unwrap_or_default() == generated;
        assert!(is_fresh, "src/generated/{name} is stale: run `{UPDATE}=1 cargo test -p loopscope-proto` and commit");
    }
}

fn schema_files(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("loopscope/v1")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files.iter().map(|file| format!("loopscope/v1/{file}")).collect()
}

/// Of where things stand in the files, only the comments are of use at run time.
fn keep_comments(descriptors: &mut FileDescriptorSet) {
    for file in &mut descriptors.file {
        let is_ours = file.package() == "loopscope.v1";
        let Some(source) = &mut file.source_code_info else { continue };
        source.location.retain(|location| is_ours && location.leading_comments.is_some());
        for location in &mut source.location {
            let Location { path, leading_comments, .. } = std::mem::take(location);
            // A place is needed, wherever it is: readers refuse a location without one.
            *location = Location { path, leading_comments, span: vec![0, 0, 0], ..Location::default() };
        }
    }
}

/// The fields whose JSON form serde would not derive, each with the module of `proto/src/json.rs` that has it.
fn special_fields(descriptors: &FileDescriptorSet) -> Vec<(String, String)> {
    let ours = descriptors.file.iter().filter(|file| file.package() == "loopscope.v1");
    let fields = ours.flat_map(|file| &file.message_type).flat_map(|message| {
        assert!(message.nested_type.is_empty() && message.enum_type.is_empty(), "{} nests types", message.name());
        message.field.iter().map(move |field| (message, field))
    });
    fields.filter_map(|(message, field)| Some((path(message, field), special_form(message, field)?))).collect()
}

fn path(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    format!(".loopscope.v1.{}.{}", message.name(), field.name())
}

fn special_form(message: &DescriptorProto, field: &FieldDescriptorProto) -> Option<String> {
    let form = match field.r#type() {
        Type::Message if field.type_name() == ".google.protobuf.Timestamp" => "timestamp".to_owned(),
        Type::Enum => snake_case(field.type_name().trim_start_matches(".loopscope.v1.")),
        Type::Bytes | Type::Group => panic!("{} has no JSON form", path(message, field)),
        _ => return None,
    };
    let is_plain = field.label() != Label::Repeated && !field.proto3_optional();
    assert!(is_plain, "{}: proto/src/json.rs has no form for lists and optional values of it", path(message, field));
    Some(form)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
