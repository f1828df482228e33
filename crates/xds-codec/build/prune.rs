//! Cuts a descriptor set down to what some messages need.

use std::collections::{HashMap, HashSet};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FieldOptions, FileDescriptorProto,
    FileDescriptorSet, MessageOptions,
};

/// The messages named, everything their fields refer to, and nothing else.
pub fn closure(mut all: FileDescriptorSet, roots: &[&str]) -> Result<FileDescriptorSet, String> {
    let reachable = reachable(&all, roots)?;
    for file in &mut all.file {
        strip_file(file, &reachable);
    }
    all.file.retain(|file| !file.message_type.is_empty() || !file.enum_type.is_empty());
    let kept: HashSet<String> = all.file.iter().map(|file| file.name().to_owned()).collect();
    for file in &mut all.file {
        file.dependency.retain(|dependency| kept.contains(dependency));
    }
    Ok(all)
}

/// Full names, with a leading dot, of all messages and enumerations that `roots` lead to.
fn reachable(all: &FileDescriptorSet, roots: &[&str]) -> Result<HashSet<String>, String> {
    let mut uses = HashMap::new();
    for file in &all.file {
        let package = format!(".{}", file.package());
        for message in &file.message_type {
            collect_uses(&package, message, &mut uses);
        }
    }
    let mut found = HashSet::new();
    let mut open: Vec<String> = roots.iter().map(|root| format!(".{root}")).collect();
    if let Some(missing) = open.iter().find(|root| !uses.contains_key(root.as_str())) {
        return Err(format!("envoy-types does not describe {missing}"));
    }
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            open.extend(uses.get(&name).into_iter().flatten().cloned());
        }
    }
    Ok(found)
}

fn collect_uses(scope: &str, message: &DescriptorProto, uses: &mut HashMap<String, Vec<String>>) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        collect_uses(&name, nested, uses);
    }
    uses.insert(name, message.field.iter().filter_map(|field| field.type_name.clone()).collect());
}

fn strip_file(file: &mut FileDescriptorProto, reachable: &HashSet<String>) {
    file.source_code_info = None;
    file.options = None;
    file.service.clear();
    file.extension.clear();
    file.public_dependency.clear();
    file.weak_dependency.clear();
    let package = format!(".{}", file.package());
    file.message_type.retain_mut(|message| strip_message(&package, message, reachable));
    strip_enums(&package, &mut file.enum_type, reachable);
}

/// Whether anything of the message is left. One that is only the scope of others loses its fields.
fn strip_message(scope: &str, message: &mut DescriptorProto, reachable: &HashSet<String>) -> bool {
    let name = format!("{scope}.{}", message.name());
    message.nested_type.retain_mut(|nested| strip_message(&name, nested, reachable));
    strip_enums(&name, &mut message.enum_type, reachable);
    message.extension.clear();
    message.extension_range.clear();
    message.reserved_range.clear();
    message.reserved_name.clear();
    let map_entry = message.options.take().and_then(|options| options.map_entry);
    message.options =
        map_entry.map(|map_entry| MessageOptions { map_entry: Some(map_entry), ..Default::default() });
    if !reachable.contains(&name) {
        message.field.clear();
        message.oneof_decl.clear();
        return !message.nested_type.is_empty() || !message.enum_type.is_empty();
    }
    message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
    message.field.iter_mut().for_each(strip_field);
    true
}

/// Keeps what concerns the encoding.
fn strip_field(field: &mut FieldDescriptorProto) {
    let packed = field.options.take().and_then(|options| options.packed);
    field.options = packed.map(|packed| FieldOptions { packed: Some(packed), ..Default::default() });
}

fn strip_enums(scope: &str, enums: &mut Vec<EnumDescriptorProto>, reachable: &HashSet<String>) {
    enums.retain(|it| reachable.contains(&format!("{scope}.{}", it.name())));
    for it in enums {
        it.reserved_range.clear();
        it.reserved_name.clear();
        it.value.iter_mut().for_each(|value| value.options = None);
    }
}
