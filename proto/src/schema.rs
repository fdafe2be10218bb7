//! The schema at run time: which calls there are, what their messages hold in words, and how those look as JSON.
//!
//! All of it is read from the descriptors that the types are generated from, so that what is told of a message is
//! what serde writes: `proto/tests/generated.rs` gives times and enumerations their form by the same types, and
//! `schema/tests.rs` compares both. It knows nothing of paths and of HTTP; what a name says of a value is in
//! `schema/format.rs`.

use std::collections::{BTreeMap, btree_map::Entry};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use serde_json::{Map, Value, json};

mod format;

/// The descriptors of all files, comments included, as reflection hands them out.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/loopscope.v1.bin");

/// Start of the full names of what is described here.
const PACKAGE: &str = ".loopscope.v1.";

/// Full name of the type of times.
const TIMESTAMP: &str = ".google.protobuf.Timestamp";

/// Field numbers in the descriptors, as the paths of comments have them.
mod number {
    pub(super) const FILE_MESSAGES: i32 = 4;
    pub(super) const FILE_SERVICES: i32 = 6;
    /// The fields of a message, the values of an enumeration and the calls of a service.
    pub(super) const MEMBERS: i32 = 2;
}

/// Which side writes the JSON of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server, which writes every field.
    Answer,
    /// A client, which may leave out what is not needed.
    Request,
}

/// The name of a message, an enumeration or a call as functions and constants are called, in lower case.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// One call of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name as in the schema.
    pub name: String,
    /// What it does.
    pub comment: String,
    /// Name of the message that is sent.
    pub request: String,
    /// Name of the message that is answered.
    pub answer: String,
    /// True when answers keep coming.
    pub is_stream: bool,
}

/// One field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, in the schema and in JSON.
    pub name: String,
    /// What it is.
    pub comment: String,
    /// True when it holds any number of values.
    pub is_list: bool,
    message: String,
    kind: Kind,
    is_nullable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Scalar(Type),
    Time,
    Word(String),
    Message(String),
}

/// All that is described.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    messages: BTreeMap<String, (String, Vec<Field>)>,
    words: BTreeMap<String, Vec<String>>,
    calls: Vec<Call>,
}

impl Schema {
    /// Reads the descriptors.
    pub fn load() -> Self {
        // They are part of the program, and a test reads them: there is nobody to tell of an error.
        let descriptors = FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default();
        let mut schema = Self::default();
        for file in &descriptors.file {
            schema.add(file);
        }
        schema
    }

    /// The calls, in the order of the schema.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The fields of a message; none when it is not known.
    pub fn fields(&self, message: &str) -> &[Field] {
        self.messages.get(message).map_or(&[], |(_, fields)| fields)
    }

    /// The JSON Schemas of a message and of all messages in it, by their names there.
    pub fn components(&self, message: &str, side: Side) -> BTreeMap<String, Value> {
        let (mut found, mut waiting) = (BTreeMap::new(), vec![message]);
        while let Some(name) = waiting.pop() {
            if let Entry::Vacant(place) = found.entry(component(name, side)) {
                place.insert(self.object(name, side));
                waiting.extend(self.fields(name).iter().filter_map(|field| match &field.kind {
                    Kind::Message(inner) => Some(inner.as_str()),
                    _ => None,
                }));
            }
        }
        found
    }

    /// The JSON Schema of one value of a field, where it is there.
    pub fn value(&self, field: &Field, side: Side) -> Value {
        match &field.kind {
            Kind::Scalar(kind) => format::scalar(*kind, &field.message, &field.name),
            Kind::Time => json!({"type": "string", "format": "date-time", "examples": ["2026-11-23T15:42:49.189Z"]}),
            Kind::Word(name) => json!({"type": "string", "enum": self.words.get(name)}),
            Kind::Message(name) => reference(name, side),
        }
    }

    fn object(&self, name: &str, side: Side) -> Value {
        let Some((comment, fields)) = self.messages.get(name) else { return json!({}) };
        let properties: Map<_, _> = fields.iter().map(|it| (it.name.clone(), self.property(it, side))).collect();
        let mut object = json!({"type": "object", "description": comment, "properties": properties});
        let is_required = |field: &&Field| side == Side::Answer || format::is_required(name, &field.name);
        let required: Vec<_> = fields.iter().filter(is_required).map(|field| field.name.as_str()).collect();
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        object
    }

    fn property(&self, field: &Field, side: Side) -> Value {
        let mut value = self.value(field, side);
        if field.is_list {
            value = json!({"type": "array", "items": value});
        } else if field.is_nullable {
            value = or_null(value);
        }
        value["description"] = field.comment.as_str().into();
        value
    }

    fn add(&mut self, file: &FileDescriptorProto) {
        let comments = Comments::of(file);
        for (at, message) in (0..).zip(&file.message_type) {
            let place = [number::FILE_MESSAGES, at];
            let members = (0..).zip(&message.field);
            let fields = members.map(|(at, it)| field(message, it, comments.member(place, at))).collect();
            self.messages.insert(message.name().to_owned(), (comments.at(&place), fields));
        }
        for message in &file.enum_type {
            self.words.insert(message.name().to_owned(), words(message));
        }
        for (at, service) in (0..).zip(&file.service) {
            self.add_calls(service, |call| comments.member([number::FILE_SERVICES, at], call));
        }
    }

    fn add_calls(&mut self, service: &ServiceDescriptorProto, comment: impl Fn(i32) -> String) {
        self.calls.extend((0..).zip(&service.method).map(|(at, call)| Call {
            name: call.name().to_owned(),
            comment: comment(at),
            request: local(call.input_type()),
            answer: local(call.output_type()),
            is_stream: call.server_streaming(),
        }));
    }
}

/// A reference to the JSON Schema of a message.
pub fn reference(message: &str, side: Side) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", component(message, side))})
}

fn component(message: &str, side: Side) -> String {
    match side {
        Side::Answer => message.to_owned(),
        Side::Request => format!("{message}Body"),
    }
}

fn or_null(mut value: Value) -> Value {
    match value.get("type").cloned() {
        Some(kind) => {
            value["type"] = json!([kind, "null"]);
            value
        }
        None => json!({"anyOf": [value, {"type": "null"}]}),
    }
}

fn field(message: &DescriptorProto, field: &FieldDescriptorProto, comment: String) -> Field {
    let kind = match field.r#type() {
        Type::Message if field.type_name() == TIMESTAMP => Kind::Time,
        Type::Message => Kind::Message(local(field.type_name())),
        Type::Enum => Kind::Word(local(field.type_name())),
        scalar => Kind::Scalar(scalar),
    };
    let is_nullable = field.proto3_optional() || matches!(kind, Kind::Time | Kind::Message(_));
    let is_list = field.label() == Label::Repeated;
    Field { name: field.name().to_owned(), comment, message: message.name().to_owned(), kind, is_list, is_nullable }
}

/// The lower-case words of an enumeration, as `json.rs` writes them: without the name of the enumeration before them.
fn words(message: &EnumDescriptorProto) -> Vec<String> {
    let shouted = |name: &str| {
        let letters = name.chars().enumerate();
        letters.fold(String::new(), |all, (at, letter)| {
            let gap = if at > 0 && letter.is_ascii_uppercase() { "_" } else { "" };
            format!("{all}{gap}{}", letter.to_ascii_uppercase())
        })
    };
    let prefix = format!("{}_", shouted(message.name()));
    message.value.iter().map(|value| value.name().trim_start_matches(&prefix).to_ascii_lowercase()).collect()
}

fn local(name: &str) -> String {
    name.trim_start_matches(PACKAGE).to_owned()
}

/// What people wrote above things in a file, by their path in its descriptor.
struct Comments<'a>(BTreeMap<&'a [i32], &'a str>);

impl<'a> Comments<'a> {
    fn of(file: &'a FileDescriptorProto) -> Self {
        let places = file.source_code_info.iter().flat_map(|source| &source.location);
        Self(places.map(|place| (place.path.as_slice(), place.leading_comments())).collect())
    }

    fn member(&self, [kind, of]: [i32; 2], at: i32) -> String {
        self.at(&[kind, of, number::MEMBERS, at])
    }

    /// The comment as one line.
    fn at(&self, path: &[i32]) -> String {
        let lines = self.0.get(path).into_iter().flat_map(|text| text.lines());
        lines.map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
    }
}

#[cfg(test)]
mod tests;
