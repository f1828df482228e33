//! Descriptors of Istio's messages: the same fields as in `src/istio.rs`.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MessageOptions, OneofDescriptorProto,
};

const DURATION: &str = ".google.protobuf.Duration";

pub fn files() -> Vec<FileDescriptorProto> {
    vec![name_table(), stats(), peer_metadata(), alpn()]
}

fn name_table() -> FileDescriptorProto {
    let info = ".istio.networking.nds.v1.NameTable.NameInfo";
    let mut table = message(
        "NameTable",
        vec![
            message_list("table", 1, ".istio.networking.nds.v1.NameTable.TableEntry"),
            message_field("name_info", 2, info),
        ],
    );
    let mut entry = message("TableEntry", vec![text("key", 1), message_field("value", 2, info)]);
    entry.options = Some(MessageOptions { map_entry: Some(true), ..Default::default() });
    let fields = vec![
        texts("ips", 1),
        text("registry", 2),
        text("shortname", 3),
        text("namespace", 4),
        texts("alt_hosts", 5),
    ];
    table.nested_type = vec![message("NameInfo", fields), entry];
    file("istio.networking.nds.v1", vec![table])
}

fn stats() -> FileDescriptorProto {
    let config = message(
        "PluginConfig",
        vec![
            field("disable_host_header_fallback", 6, Type::Bool),
            message_field("tcp_reporting_duration", 7, DURATION),
            message_list("metrics", 8, ".stats.MetricConfig"),
            message_list("definitions", 9, ".stats.MetricDefinition"),
            enumeration("reporter", 10, ".stats.Reporter"),
            message_field("rescoping_duration", 11, DURATION),
            message_field("scope_grace_period_duration", 12, DURATION),
            text("lateen_reporter", 51001),
        ],
    );
    let mut entry = message("DimensionsEntry", vec![text("key", 1), text("value", 2)]);
    entry.options = Some(MessageOptions { map_entry: Some(true), ..Default::default() });
    let mut metric = message(
        "MetricConfig",
        vec![
            message_list("dimensions", 1, ".stats.MetricConfig.DimensionsEntry"),
            text("name", 2),
            texts("tags_to_remove", 3),
            text("match", 4),
            field("drop", 5, Type::Bool),
        ],
    );
    metric.nested_type = vec![entry];
    let definition = message(
        "MetricDefinition",
        vec![text("name", 1), text("value", 2), enumeration("type", 3, ".stats.MetricType")],
    );
    FileDescriptorProto {
        dependency: vec!["google/protobuf/duration.proto".into()],
        enum_type: vec![
            values("Reporter", &["UNSPECIFIED", "SERVER_GATEWAY"]),
            values("MetricType", &["COUNTER", "GAUGE", "HISTOGRAM"]),
        ],
        ..file("stats", vec![config, metric, definition])
    }
}

fn peer_metadata() -> FileDescriptorProto {
    let name = |name: &str| format!(".io.istio.http.peer_metadata.Config.{name}");
    let (discovery, propagation) = (name("DiscoveryMethod"), name("PropagationMethod"));
    let mut config = message(
        "Config",
        vec![
            message_list("downstream_discovery", 1, &discovery),
            message_list("upstream_discovery", 2, &discovery),
            message_list("downstream_propagation", 3, &propagation),
            message_list("upstream_propagation", 4, &propagation),
            field("shared_with_upstream", 5, Type::Bool),
            texts("additional_labels", 6),
        ],
    );
    config.nested_type = vec![
        message("Baggage", vec![]),
        message("WorkloadDiscovery", vec![]),
        message("IstioHeaders", vec![field("skip_external_clusters", 1, Type::Bool)]),
        oneof(message(
            "DiscoveryMethod",
            vec![
                message_field("baggage", 1, &name("Baggage")),
                message_field("workload_discovery", 2, &name("WorkloadDiscovery")),
                message_field("istio_headers", 3, &name("IstioHeaders")),
            ],
        )),
        oneof(message("PropagationMethod", vec![message_field("istio_headers", 1, &name("IstioHeaders"))])),
    ];
    file("io.istio.http.peer_metadata", vec![config])
}

fn alpn() -> FileDescriptorProto {
    let name = |name: &str| format!(".istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig.{name}");
    let mut config = message("FilterConfig", vec![message_list("alpn_override", 1, &name("AlpnOverride"))]);
    config.nested_type = vec![message(
        "AlpnOverride",
        vec![enumeration("upstream_protocol", 1, &name("Protocol")), texts("alpn_override", 2)],
    )];
    config.enum_type = vec![values("Protocol", &["HTTP10", "HTTP11", "HTTP2"])];
    file("istio.envoy.config.filter.http.alpn.v2alpha1", vec![config])
}

fn file(package: &str, messages: Vec<DescriptorProto>) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(format!("{}.proto", package.replace('.', "/"))),
        package: Some(package.into()),
        message_type: messages,
        syntax: Some("proto3".into()),
        ..Default::default()
    }
}

fn message(name: &str, fields: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.into()), field: fields, ..Default::default() }
}

/// All fields of the message in one oneof.
fn oneof(mut it: DescriptorProto) -> DescriptorProto {
    it.oneof_decl = vec![OneofDescriptorProto { name: Some("method_specifier".into()), options: None }];
    it.field.iter_mut().for_each(|field| field.oneof_index = Some(0));
    it
}

fn field(name: &str, number: i32, ty: Type) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(ty.into()),
        ..Default::default()
    }
}

fn text(name: &str, number: i32) -> FieldDescriptorProto {
    field(name, number, Type::String)
}

fn texts(name: &str, number: i32) -> FieldDescriptorProto {
    FieldDescriptorProto { label: Some(Label::Repeated.into()), ..text(name, number) }
}

fn message_field(name: &str, number: i32, ty: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { type_name: Some(ty.into()), ..field(name, number, Type::Message) }
}

fn message_list(name: &str, number: i32, ty: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { label: Some(Label::Repeated.into()), ..message_field(name, number, ty) }
}

fn enumeration(name: &str, number: i32, ty: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { type_name: Some(ty.into()), ..field(name, number, Type::Enum) }
}

fn values(name: &str, names: &[&str]) -> EnumDescriptorProto {
    let value = |(number, name): (usize, &&str)| EnumValueDescriptorProto {
        name: Some((*name).into()),
        number: i32::try_from(number).ok(),
        options: None,
    };
    EnumDescriptorProto {
        name: Some(name.into()),
        value: names.iter().enumerate().map(value).collect(),
        ..Default::default()
    }
}
