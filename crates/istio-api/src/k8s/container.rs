//! Containers of a pod.

use model::Str;

use super::{Probe, probe};
use crate::reader::{Fields, Item};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    pub name: Str,
    pub image: Str,
    /// In the image's entry point's place; `$(NAME)` stands for a variable of `env`.
    pub command: Vec<Str>,
    pub args: Vec<Str>,
    pub working_dir: Option<Str>,
    pub env: Vec<EnvVar>,
    pub ports: Vec<ContainerPort>,
    pub readiness_probe: Option<Probe>,
    pub volume_mounts: Vec<VolumeMount>,
    /// `securityContext.runAsUser`; goes before the pod's.
    pub run_as_user: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVar {
    pub name: Str,
    pub value: EnvValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    Text(Str),
    /// A field of the pod: `metadata.name`, `status.podIP`, …
    Field(Str),
    ConfigMapKey {
        name: Str,
        key: Str,
        optional: bool,
    },
    SecretKey {
        name: Str,
        key: Str,
        optional: bool,
    },
    /// A source that is not supported, by its name.
    Unsupported(Str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    pub name: Str,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    pub name: Str,
    pub mount_path: Str,
    /// A path inside the volume; empty: all of it.
    pub sub_path: Str,
    pub read_only: bool,
}

pub(crate) fn read(fields: Fields<'_>) -> Option<Container> {
    let text = |name| fields.get(name).and_then(|item| item.str());
    let strings = |name| fields.get(name).map(|item| item.strings()).unwrap_or_default();
    let name = fields.require("name").and_then(|item| item.non_empty());
    let container = Container {
        name: name.unwrap_or_default(),
        image: text("image").unwrap_or_default(),
        command: strings("command"),
        args: strings("args"),
        working_dir: text("workingDir"),
        env: fields.get("env").map(|item| item.objects(read_env)).unwrap_or_default(),
        ports: fields.get("ports").map(|item| item.objects(read_port)).unwrap_or_default(),
        readiness_probe: fields.get("readinessProbe").and_then(|i| i.object()).and_then(probe::read),
        volume_mounts: fields.get("volumeMounts").map(|i| i.objects(read_mount)).unwrap_or_default(),
        run_as_user: fields.get("securityContext").and_then(|item| read_user(&item)),
    };
    // Images are never pulled, so nothing about pulling them is worth a word.
    fields.get("imagePullPolicy");
    fields.finish_lenient();
    Some(container)
}

/// `runAsUser` of a security context, a pod's or a container's.
pub(crate) fn read_user(item: &Item<'_>) -> Option<u32> {
    let fields = item.object()?;
    let user = fields.get("runAsUser").and_then(|item| item.int(0, i64::from(u32::MAX)));
    fields.finish_lenient();
    user.and_then(|user| u32::try_from(user).ok())
}

fn read_env(fields: Fields<'_>) -> Option<EnvVar> {
    let name = fields.require("name").and_then(|item| item.non_empty())?;
    let value = match (fields.get("value"), fields.get("valueFrom")) {
        (Some(item), _) => EnvValue::Text(item.str()?),
        (None, Some(item)) => read_value_from(&item)?,
        (None, None) => EnvValue::Text(Str::default()),
    };
    fields.finish_lenient();
    Some(EnvVar { name, value })
}

fn read_value_from(item: &Item<'_>) -> Option<EnvValue> {
    let fields = item.object()?;
    if let Some(field) = fields.get("fieldRef").and_then(|item| item.object()) {
        return Some(EnvValue::Field(field.require("fieldPath")?.str()?));
    }
    for (name, make) in
        [("configMapKeyRef", config_map_key as fn(_, _, _) -> _), ("secretKeyRef", secret_key)]
    {
        if let Some(reference) = fields.get(name).and_then(|item| item.object()) {
            let optional = reference.get("optional").and_then(|item| item.bool()).unwrap_or(false);
            let object = reference.require("name")?.str()?;
            return Some(make(object, reference.require("key")?.str()?, optional));
        }
    }
    let (source, value) = item.entries().into_iter().next()?;
    value.no_effect();
    Some(EnvValue::Unsupported(source))
}

fn config_map_key(name: Str, key: Str, optional: bool) -> EnvValue {
    EnvValue::ConfigMapKey { name, key, optional }
}

fn secret_key(name: Str, key: Str, optional: bool) -> EnvValue {
    EnvValue::SecretKey { name, key, optional }
}

fn read_port(fields: Fields<'_>) -> Option<ContainerPort> {
    let port = fields.require("containerPort").and_then(|item| item.port());
    let name = fields.get("name").and_then(|item| item.str()).unwrap_or_default();
    fields.get("protocol");
    fields.finish_lenient();
    Some(ContainerPort { name, port: port? })
}

fn read_mount(fields: Fields<'_>) -> Option<VolumeMount> {
    let name = fields.require("name").and_then(|item| item.non_empty());
    let mount_path = fields.require("mountPath").and_then(|item| item.non_empty());
    let sub_path = fields.get("subPath").and_then(|item| item.str()).unwrap_or_default();
    let read_only = fields.get("readOnly").and_then(|item| item.bool()).unwrap_or(false);
    fields.finish_lenient();
    Some(VolumeMount { name: name?, mount_path: mount_path?, sub_path, read_only })
}
