//! Values that no line spells out under their name: what a line is about, whichever program wrote it.
//!
//! One broken thing is told by Kubernetes' events, by kubelet, by the pod's own log and by exporters, each with its own words for
//! where it is. Here they come to the same `namespace`, `workload` and `node`, so that they make one finding.
//!
//! A label goes before what the line says, with one exception: a line of the unified schema travels in its exporter's stream, so
//! its labels name the exporter. `workload` and `namespace` come from the same place as far as they can: a line that comes with a
//! pod is taken to be about that pod, even if it mentions another.
//!
//! Values borrow from the line or the labels; nothing is unescaped, since names of objects have nothing to escape. Cost is a few
//! passes over the line, only when a rule that hit asks for the name and no label answers.

use memchr::memchr_iter;

use super::fields::{Members, Notation, Pairs, Value, notation};
use super::level;
use super::line::Line;
use super::pod_name;
use crate::rules::Parse;

/// Names of labels that say a namespace, the pod's name, and so on: those of Alloy's and Promtail's examples, and of
/// OpenTelemetry's resource attributes as Loki stores them.
const NAMESPACES: [&str; 5] = [
    "namespace",
    "k8s_namespace_name",
    "kubernetes_namespace_name",
    "kubernetes_namespace",
    "namespace_name",
];
const PODS: [&str; 4] = ["pod", "k8s_pod_name", "kubernetes_pod_name", "pod_name"];
const OWNERS: [&str; 8] = [
    "deployment",
    "k8s_deployment_name",
    "statefulset",
    "k8s_statefulset_name",
    "daemonset",
    "k8s_daemonset_name",
    "cronjob",
    "k8s_cronjob_name",
];
const JOBS: [&str; 2] = ["job_name", "k8s_job_name"];
const APPS: [&str; 8] = [
    "app",
    "app_kubernetes_io_name",
    "component",
    "container",
    "k8s_container_name",
    "container_name",
    "service_name",
    "service",
];
const UNITS: [&str; 2] = ["unit", "systemd_unit"];
const NODES: [&str; 6] = [
    "node",
    "node_name",
    "nodename",
    "k8s_node_name",
    "kubernetes_node",
    "kubernetes_node_name",
];
/// Labels that may be the collector's own host, so that what a line says about a node goes before.
const HOSTS: [&str; 2] = ["hostname", "host"];

/// What `name` is derived to be; `None` if it is no derived name, or nothing tells.
///
/// `service_name` and `level` are what Loki's distributor would have added; rules may call `detected_level` just `level`.
pub(super) fn value<'a>(name: &str, line: &Line<'a>) -> Option<&'a [u8]> {
    match name {
        "service_name" => Some(line.stream.labels.service_name().as_bytes()),
        "level" | "detected_level" => {
            Some(level::level(&line.stream.labels, line.metadata, line.bytes))
        }
        "namespace" => namespace(line),
        "node" => node(line, &Told::by(line.bytes)),
        "workload" => workload(line),
        "installer" => run(line).map(|run| run.installer),
        "run_id" => run(line).map(|run| run.id),
        "run_attempt" => run(line).map(|run| run.attempt),
        _ => None,
    }
}

fn first<'a>(line: &Line<'a>, names: &[&str]) -> Option<&'a [u8]> {
    names.iter().find_map(|name| line.attached(name))
}

fn namespace<'a>(line: &Line<'a>) -> Option<&'a [u8]> {
    first(line, &NAMESPACES).or_else(|| said(Told::by(line.bytes).object.namespace))
}

fn node<'a>(line: &Line<'a>, told: &Told<'a>) -> Option<&'a [u8]> {
    first(line, &NODES)
        .or_else(|| said(told.node))
        .or_else(|| first(line, &HOSTS))
        .or_else(|| syslog_host(line.bytes))
}

/// Whether the labels of `line` answer for `name` in every line of its stream, unless that is JSON, which may be of the unified
/// schema, or has structured metadata.
pub(super) fn is_of_labels(name: &str, line: &Line<'_>) -> bool {
    let has = |names: &[&str]| {
        let mut labels = names.iter().map(|name| line.stream.labels.get(name));
        labels.any(|label| label.is_some())
    };
    match name {
        "service_name" => true,
        "namespace" | "installer" | "run_id" | "run_attempt" => has(&NAMESPACES),
        "node" => has(&NODES),
        "workload" => has(&OWNERS) || has(&JOBS) || has(&PODS),
        _ => false,
    }
}

fn workload<'a>(line: &Line<'a>) -> Option<&'a [u8]> {
    let of_line = || {
        let told = Told::by(line.bytes);
        let workload = || told.object.workload(node(line, &told));
        (told.object.is_named()).then(|| (told.is_unified, workload()))
    };
    let is_json = line.bytes.starts_with(b"{");
    if is_json && let Some((true, workload)) = of_line() {
        return workload;
    }
    if let Some(owner) = first(line, &OWNERS) {
        return Some(owner);
    }
    if let Some(job) = first(line, &JOBS) {
        return Some(pod_name::cron_job(job));
    }
    if let Some(pod) = first(line, &PODS) {
        // By the labels alone, so that all lines of a stream have one workload.
        let node = first(line, &NODES).or_else(|| first(line, &HOSTS));
        return Object::pod(b"", pod).workload(node);
    }
    if let Some((_, workload)) = of_line() {
        return workload;
    }
    first(line, &APPS).or_else(|| {
        let unit = first(line, &UNITS)?;
        Some(unit.strip_suffix(b".service").unwrap_or(unit))
    })
}

/// A value that is there.
fn said(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

/// An object of Kubernetes; what is not known of it is empty.
#[derive(Debug, Clone, Copy, Default)]
struct Object<'a> {
    /// `Pod`, or as in audit logs `pods`.
    kind: &'a [u8],
    namespace: &'a [u8],
    name: &'a [u8],
}

impl<'a> Object<'a> {
    fn pod(namespace: &'a [u8], name: &'a [u8]) -> Self {
        Self {
            kind: b"Pod",
            namespace,
            name,
        }
    }

    /// From the members of a reference, whose kind may be called `resource`.
    fn of(members: &'a [u8]) -> Self {
        let mut object = Self::default();
        for member in Members::of(members) {
            let Value::Text(value) = member.value else {
                continue;
            };
            match member.key {
                b"kind" | b"resource" if object.kind.is_empty() => object.kind = value,
                b"namespace" => object.namespace = value,
                b"name" => object.name = value,
                _ => {}
            }
        }
        object
    }

    fn is_named(&self) -> bool {
        !self.name.is_empty()
    }

    fn is_a(&self, kind: &str) -> bool {
        let singular = self.kind.strip_suffix(b"s").unwrap_or(self.kind);
        singular.eq_ignore_ascii_case(kind.as_bytes())
    }

    /// What runs, or is to: nothing for a node, which carries workloads and is none.
    fn workload(self, node: Option<&[u8]>) -> Option<&'a [u8]> {
        let name = self.name;
        let is_a = |kinds: &[&str]| kinds.iter().any(|kind| self.is_a(kind));
        let stable = [
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "CronJob",
            "ReplicationController",
        ];
        said(if is_a(&["Node"]) {
            return None;
        } else if is_a(&["Pod"]) {
            pod_name::workload(name, node)
        } else if is_a(&["ReplicaSet"]) {
            pod_name::deployment(name)
        } else if is_a(&["Job"]) {
            pod_name::cron_job(name)
        } else if is_a(&stable) {
            name
        } else {
            pod_name::generated_for(name)
        })
    }
}

/// What a line itself says about where it belongs.
#[derive(Debug, Default)]
struct Told<'a> {
    object: Object<'a>,
    node: &'a [u8],
    /// Whether it is of the unified schema: audit, events and pod logs brought into one form.
    is_unified: bool,
}

impl<'a> Told<'a> {
    fn by(line: &'a [u8]) -> Self {
        let mut told = if line.starts_with(b"{") {
            let told = Self::json(line);
            if told.is_unified || told.object.is_named() {
                told
            } else {
                // It may hold a line of klog, as a container runtime or a shipper wraps it.
                told.or(Self::prose(line))
            }
        } else if line.starts_with(b"name=") {
            Self::event(line)
        } else {
            Self::prose(line)
        };
        if told.object.is_a("Node") && told.object.is_named() {
            told.node = told.object.name;
        }
        told
    }

    /// This, and where it says nothing the other.
    fn or(mut self, other: Self) -> Self {
        let namespace = self.object.namespace;
        self.object = other.object;
        if !namespace.is_empty() {
            self.object.namespace = namespace;
        }
        if self.node.is_empty() {
            self.node = other.node;
        }
        self
    }

    /// A JSON line: an event as Alloy writes it, the unified schema, klog's JSON, or something that holds an event's reference
    /// to its object (`core/v1`, `events.k8s.io/v1`) or that of an audit log.
    fn json(line: &'a [u8]) -> Self {
        let mut told = Self::default();
        let mut event = Event::default();
        let mut source: &[u8] = b"";
        let mut reference = None;
        let mut pod = Object::default();
        for member in Members::of(line) {
            match (member.key, member.value) {
                (b"source", Value::Text(text)) => source = text,
                (b"source", Value::Object(inner)) => event.host = text(inner, b"host"),
                (b"details", Value::Object(inner)) => event.host = host_of_details(inner),
                (b"object", Value::Object(inner)) => reference = Some((inner, false)),
                (b"involvedObject" | b"regarding" | b"objectRef", Value::Object(inner)) => {
                    reference = Some((inner, true));
                }
                (b"pod", Value::Object(inner)) => {
                    let object = Object::of(inner);
                    pod = Object::pod(object.namespace, object.name);
                }
                (b"pod", Value::Text(text)) => pod = namespaced(text),
                (key, Value::Text(text)) => event.take(key, text),
                _ => {}
            }
        }
        told.is_unified = matches!(source, b"k8s_audit_log" | b"k8s_event" | b"pod_log");
        told.node = event.node();
        if let Some((inner, is_sure)) = reference {
            let object = Object::of(inner);
            // Many things are called `object`; a reference has a version too.
            if is_sure || told.is_unified || said(text(inner, b"apiVersion")).is_some() {
                told.object = object;
            }
        }
        let is_pod_log = source == b"pod_log" || !told.object.is_named();
        if pod.is_named() && is_pod_log {
            let namespace = said(pod.namespace).unwrap_or(told.object.namespace);
            told.object = Object::pod(namespace, pod.name);
        } else if !told.object.is_named() && event.is_alloys {
            told.object = event.object;
        }
        if told.object.namespace.is_empty() {
            told.object.namespace = event.object.namespace;
        }
        told
    }

    /// An event as Alloy writes it in text: pairs, the message last. Anything else that begins with a name says nothing.
    ///
    /// Source: `appendTextMsg` in grafana/alloy `internal/component/loki/source/kubernetes_events/event_controller.go`.
    fn event(line: &'a [u8]) -> Self {
        let mut event = Event::default();
        for pair in Pairs::lenient(line).take_while(|pair| pair.key != b"msg") {
            if let Some(Value::Text(value) | Value::Other(value)) = pair.value {
                event.take(pair.key, value);
            }
        }
        if !event.is_alloys {
            return Self::default();
        }
        Self {
            node: event.node(),
            object: event.object,
            is_unified: false,
        }
    }

    /// klog and what quotes it: `pod="ns/name"`, `object="ns/name" kind="Job"`, `ObjectReference{Kind:"Pod", …}`,
    /// `name_ns(uid)`, `pod "name_ns"`, `node="name"`, `namespace="ns"`.
    fn prose(line: &'a [u8]) -> Self {
        let mut object = printed_reference(line)
            .or_else(|| {
                let object = namespaced(quoted(line, b"object=")?);
                let kind = quoted(line, b"kind=")?;
                Some(Object { kind, ..object })
            })
            .or_else(|| {
                let pod = quoted(line, b"pod=").or_else(|| quoted(line, b"pods=["));
                pod.map(namespaced)
            })
            .or_else(|| pod_with_uid(line))
            .or_else(|| {
                let pod = quoted(line, b"pod ")?;
                let at = memchr::memchr(b'_', pod)?;
                Some(Object::pod(&pod[at + 1..], &pod[..at]))
            })
            .unwrap_or_default();
        if object.namespace.is_empty() {
            object.namespace = quoted(line, b"namespace=").unwrap_or_default();
        }
        Self {
            object,
            node: quoted(line, b"node=").unwrap_or_default(),
            is_unified: false,
        }
    }
}

/// What is gathered from the keys of an event.
#[derive(Debug, Default)]
struct Event<'a> {
    object: Object<'a>,
    host: &'a [u8],
    reporter: &'a [u8],
    instance: &'a [u8],
    /// Whether it has keys that only Alloy gives an event.
    is_alloys: bool,
}

impl<'a> Event<'a> {
    fn take(&mut self, key: &[u8], value: &'a [u8]) {
        match key {
            b"name" => self.object.name = value,
            b"kind" => self.object.kind = value,
            b"namespace" => self.object.namespace = value,
            b"sourcehost" => self.host = value,
            b"reportingcontroller" | b"reportingComponent" | b"reportingController" => {
                self.reporter = value;
            }
            b"reportinginstance" | b"reportingInstance" => self.instance = value,
            b"objectAPIversion" | b"objectRV" | b"eventRV" => self.is_alloys = true,
            _ => {}
        }
    }

    /// Where it was seen: kubelet reports under its node's name, others under a name of their own.
    fn node(&self) -> &'a [u8] {
        if self.host.is_empty() && self.reporter == b"kubelet" {
            self.instance
        } else {
            self.host
        }
    }
}

/// The text member `key` of a JSON object; empty if there is none.
fn text<'a>(object: &'a [u8], key: &[u8]) -> &'a [u8] {
    let mut members = Members::of(object).filter(|member| member.key == key);
    match members.next().map(|member| member.value) {
        Some(Value::Text(text)) => text,
        _ => b"",
    }
}

/// The host of an event that the unified schema carries along as it was.
fn host_of_details(details: &[u8]) -> &[u8] {
    let mut event = Event::default();
    for member in Members::of(details) {
        match (member.key, member.value) {
            (b"source", Value::Object(inner)) => event.host = text(inner, b"host"),
            (key, Value::Text(text)) => event.take(key, text),
            _ => {}
        }
    }
    event.node()
}

/// The pod `ns/name`, or `name`.
fn namespaced(text: &[u8]) -> Object<'_> {
    match memchr::memchr(b'/', text) {
        Some(at) => Object::pod(&text[..at], &text[at + 1..]),
        None => Object::pod(b"", text),
    }
}

/// The name in quotes after `key`, which stands alone; the quotes may be escaped. Names have letters, digits, `-`, `.` and `/`.
fn quoted<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let alone = |at: &usize| at.checked_sub(1).is_none_or(|at| !is_name_byte(line[at]));
    let mut places = places_of(line, key).filter(alone);
    places.find_map(|at| name_in_quotes(&line[at + key.len()..]))
}

/// Where `key`, which is some bytes, lies in `line`. By its last byte: a searcher would take longer to set up than to search a line.
fn places_of<'a>(line: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let ends = memchr_iter(key[key.len() - 1], line);
    let ends = ends.filter(move |&last| line[..=last].ends_with(key));
    ends.map(move |last| last + 1 - key.len())
}

/// The name that `text` begins with, in quotes.
fn name_in_quotes(text: &[u8]) -> Option<&[u8]> {
    let escapes = text.iter().take_while(|&&byte| byte == b'\\').count();
    let text = text[escapes..].strip_prefix(b"\"")?;
    let len = text.iter().take_while(|&&byte| is_name_byte(byte)).count();
    let is_closed = matches!(text.get(len), Some(b'"' | b'\\'));
    (len > 0 && is_closed).then(|| &text[..len])
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-./_".contains(&byte)
}

/// What client-go's recorder logs: `Event(v1.ObjectReference{Kind:"Pod", Namespace:"ns", Name:"name", …})`.
fn printed_reference(line: &[u8]) -> Option<Object<'_>> {
    let at = places_of(line, b"ObjectReference{Kind:").next()?;
    let end = memchr::memchr(b'}', &line[at..]).map_or(line.len(), |len| at + len);
    let text = &line[at..end];
    let value = |key: &[u8]| {
        let at = places_of(text, key).next()?;
        name_in_quotes(&text[at + key.len()..])
    };
    Some(Object {
        kind: value(b"{Kind:")?,
        namespace: value(b" Namespace:").unwrap_or_default(),
        name: value(b" Name:")?,
    })
}

/// A pod as kubelet printed it before klog had keys, and still does in messages: `name_ns(uid)`.
/// The identifier is a UUID, or the hash of a static pod's manifest.
fn pod_with_uid(line: &[u8]) -> Option<Object<'_>> {
    /// Shorter ones might be arguments of some function.
    const UID_BYTES_MIN: usize = 8;
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    memchr_iter(b'(', line).find_map(|open| {
        let uid = &line[open + 1..];
        let uid_len = uid
            .iter()
            .take_while(|&&byte| byte.is_ascii_hexdigit() || byte == b'-')
            .count();
        if uid_len < UID_BYTES_MIN || uid.get(uid_len) != Some(&b')') {
            return None;
        }
        let end_of = |text: &[u8], is: &dyn Fn(u8) -> bool| {
            let len = text.iter().rev().take_while(|&&byte| is(byte)).count();
            text.len() - len
        };
        let before = &line[..open];
        let (rest, namespace) = before.split_at(end_of(before, &is_of_name));
        let rest = rest.strip_suffix(b"_")?;
        let name = &rest[end_of(rest, &|byte| is_of_name(byte) || byte == b'.')..];
        (!namespace.is_empty() && !name.is_empty()).then(|| Object::pod(namespace, name))
    })
}

/// The host in a line's syslog header: RFC 5424, or RFC 3164 with a tag that ends in a colon.
fn syslog_host(line: &[u8]) -> Option<&[u8]> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let priority = line.strip_prefix(b"<").and_then(|rest| {
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        ((1..=3).contains(&len) && rest.get(len) == Some(&b'>')).then(|| &rest[len + 1..])
    });
    let words = |text: &'_ [u8]| -> Option<[(usize, usize); 5]> {
        let mut found = [(0, 0); 5];
        let mut at = 0;
        for word in &mut found {
            at += text[at..].iter().take_while(|&&byte| byte == b' ').count();
            let len = text[at..].iter().take_while(|&&byte| byte != b' ').count();
            *word = (at, at + len);
            at += len;
            if len == 0 {
                return None;
            }
        }
        Some(found)
    };
    let text = priority.unwrap_or(line);
    let [a, b, c, d, e] = words(text)?.map(|(start, end)| &text[start..end]);
    let host = if priority.is_some() && a == b"1" {
        c
    } else {
        let is_time = c.len() == 8 && c[2] == b':' && c[5] == b':';
        let is_day = b.len() <= 2 && b.iter().all(u8::is_ascii_digit);
        if !MONTHS.contains(&a) || !is_day || !is_time || !e.ends_with(b":") {
            return None;
        }
        d
    };
    let is_host = host != b"-" && host.iter().all(|&byte| is_name_byte(byte) || byte == b':');
    is_host.then_some(host)
}

/// What the namespace of a test run is called after.
#[derive(Debug, PartialEq, Eq)]
struct Run<'a> {
    installer: &'a [u8],
    id: &'a [u8],
    attempt: &'a [u8],
}

impl<'a> Run<'a> {
    /// From `test-{installer}-{run_id}-{run_attempt}`. The installer may have dashes; the attempt is a number, the id a number
    /// or a UUID.
    fn of(namespace: &'a [u8]) -> Option<Self> {
        const UUID_BYTES: usize = 36;
        let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let cut = |text: &'a [u8], at: usize| (&text[..at], &text[at + 1..]);
        let rest = namespace.strip_prefix(b"test-")?;
        let (rest, attempt) = cut(rest, memchr::memrchr(b'-', rest)?);
        let uuid = rest.len().checked_sub(UUID_BYTES + 1);
        let uuid = uuid.filter(|&at| rest[at] == b'-' && is_uuid(&rest[at + 1..]));
        let (installer, id) = match uuid {
            Some(at) => cut(rest, at),
            None => cut(rest, memchr::memrchr(b'-', rest)?),
        };
        let fits = !installer.is_empty() && is_number(attempt) && (uuid.is_some() || is_number(id));
        fits.then_some(Self {
            installer,
            id,
            attempt,
        })
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// The test run that a line is of, by the first namespace that is called so: that of a virtual cluster is its host's.
fn run<'a>(line: &Line<'a>) -> Option<Run<'a>> {
    let labels = NAMESPACES.iter().chain(&["vcluster_namespace"]);
    let mut labels = labels.filter_map(|name| line.attached(name));
    labels.find_map(Run::of).or_else(|| {
        let field = match notation(Parse::Auto, line.bytes) {
            Some(Notation::Logfmt) => Pairs::lenient(line.bytes)
                .find(|pair| pair.key == b"namespace")
                .and_then(|pair| match pair.value? {
                    Value::Text(value) | Value::Other(value) => Some(value),
                    Value::Object(_) => None,
                }),
            _ => None,
        };
        Run::of(field.unwrap_or_else(|| Told::by(line.bytes).object.namespace))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::labels;
    use super::*;
    use crate::batch::Stream;

    /// Compares `namespace/workload@node` of a line in a stream with `pairs` as labels.
    #[track_caller]
    fn check(pairs: &[(&str, &str)], line: &str, expected: &str) {
        let stream = Stream::new("".into(), labels(pairs));
        let line = Line::new(&stream, line.as_bytes());
        let value = |name| String::from_utf8_lossy(value(name, &line).unwrap_or_default());
        let (namespace, workload, node) = (value("namespace"), value("workload"), value("node"));
        let found = format!("{namespace}/{workload}@{node}");
        let text = String::from_utf8_lossy(line.bytes);
        assert_eq!(found, expected, "{pairs:?} {text}");
    }

    const SHOP: &[(&str, &str)] = &[("namespace", "shop"), ("job", "events"), ("instance", "a")];

    // Lines as the programs write them; the values were read off by hand.
    #[test]
    fn one_workload_has_one_name_in_events_kubelets_log_its_own_log_and_the_unified_schema() {
        let api = "shop/api@";
        let on_node = "shop/api@worker-a";
        let event = |kind: &str, name: &str| {
            format!(
                "name={name} kind={kind} objectAPIversion=v1 objectRV=71 eventRV=72 sourcecomponent=x \
                 reason=Failed type=Warning count=3 msg=\"kind=Node name=other \\\"quoted\\\"\" "
            )
        };
        check(SHOP, &event("Pod", "api-6b7f9c8d5-x2x4z"), api);
        check(SHOP, &event("ReplicaSet", "api-6b7f9c8d5"), api);
        check(SHOP, &event("Deployment", "api"), api);
        check(SHOP, &event("StatefulSet", "db-0"), "shop/db-0@");
        check(SHOP, &event("Pod", "db-0"), "shop/db@");
        check(SHOP, &event("Job", "report-29412345"), "shop/report@");
        check(SHOP, &event("HorizontalPodAutoscaler", "api"), api);
        check(SHOP, &event("Endpoints", "api-x2x4z"), api);
        check(
            SHOP,
            r#"{"count":3,"eventRV":"72","kind":"Pod","msg":"x","name":"api-6b7f9c8d5-x2x4z","objectRV":"71","reason":"BackOff","sourcecomponent":"kubelet","sourcehost":"worker-a","type":"Warning"}"#,
            on_node,
        );
        let journal = &[("unit", "kubelet.service"), ("hostname", "worker-a")];
        for line in [
            r#"E0611 11:20:03.114592    1188 pod_workers.go:1298] "Error syncing pod, skipping" err="failed: \"x\"" pod="shop/api-6b7f9c8d5-x2x4z" podUID="0a1f""#,
            r#"{"ts":1,"msg":"Error syncing pod","pod":{"name":"api-6b7f9c8d5-x2x4z","namespace":"shop"}}"#,
            r#"{"log":"I0611 prober.go:107] \"Probe failed\" pod=\"shop/api-6b7f9c8d5-x2x4z\""}"#,
            r#"E0415 17:19:40.591229 46838 pod_workers.go:191] Error syncing pod e9e9 ("api-6b7f9c8d5-x2x4z_shop(0a1f8d6c-5b0e-4c1f-9f60-1f2c3d4e5f60)"), skipping"#,
            r#"W0101 10:00:00.000000 1 manager.go:1897] Failed to pull image "x" from pod "api-6b7f9c8d5-x2x4z_shop" and container "api""#,
            r#"I0101 10:00:00.000000 1 event.go:389] Event(v1.ObjectReference{Kind:"Pod", Namespace:"shop", Name:"api-6b7f9c8d5-x2x4z", UID:"7"}): type: 'Warning' reason: 'FailedMount' x"#,
            r#"I0101 10:00:00.000000 1 event.go:307] "Event occurred" object="shop/api" fieldPath="" kind="Deployment" apiVersion="apps/v1" type="Normal""#,
            r#"I0101 10:00:00.000000 1 kubelet.go:2461] "SyncLoop ADD" source="api" pods=["shop/api-6b7f9c8d5-x2x4z","other/x"]"#,
        ] {
            check(journal, line, on_node);
        }
        check(
            &[
                ("namespace", "shop"),
                ("pod", "api-6b7f9c8d5-x2x4z"),
                ("app", "shop-api"),
                ("node", "worker-a"),
            ],
            r#"cannot reach pod="db/db-0" on node="worker-b""#,
            on_node,
        );
        check(
            &[
                ("k8s_namespace_name", "shop"),
                ("k8s_deployment_name", "api"),
                ("k8s_pod_name", "api-6b7f9c8d5-x2x4z"),
                ("k8s_node_name", "worker-a"),
            ],
            "it fails",
            on_node,
        );
        let exporter = &[("app", "event-exporter"), ("source", "k8s_event")];
        for line in [
            r#"{"source":"k8s_event","level":"warning","action":"BackOff","message":"x","object":{"name":"api-6b7f9c8d5-x2x4z","namespace":"shop","kind":"Pod","apiVersion":"v1","apiGroup":""},"pod":"event-exporter-5f6c7d-9mzq2","container":"exporter","details":{"reason":"BackOff","source":{"component":"kubelet","host":"worker-a"}}}"#,
            r#"{"source":"pod_log","level":"error","message":"x","object":{"name":"x","namespace":"shop","kind":"Pod"},"pod":"api-6b7f9c8d5-x2x4z","container":"api","details":{"sourcehost":"worker-a"}}"#,
            r#"{"source":"k8s_audit_log","action":"patch","object":{"name":"api","namespace":"shop","kind":"deployments","apiGroup":"apps"},"details":{"reportingComponent":"kubelet","reportingInstance":"worker-a"}}"#,
        ] {
            check(exporter, line, on_node);
        }
        let raw = r#"{"kind":"Event","apiVersion":"v1","metadata":{"name":"api.17a"},"involvedObject":{"kind":"Pod","namespace":"shop","name":"api-6b7f9c8d5-x2x4z"},"reason":"Failed","source":{"component":"kubelet","host":"worker-a"}}"#;
        check(&[], raw, on_node);
        let audit = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"delete","objectRef":{"resource":"pods","namespace":"shop","name":"api-6b7f9c8d5-x2x4z"}}"#;
        check(&[], audit, api);
    }

    #[test]
    fn a_node_is_itself_and_no_workload() {
        let event = "name=worker-a kind=Node objectAPIversion=v1 objectRV=1 eventRV=2 sourcehost=other reason=NodeNotReady msg=\"x\" ";
        let labels = &[("job", "events"), ("app", "exporter"), ("host", "alloy")];
        check(labels, event, "/@worker-a");
        check(
            &[("app", "event-exporter")],
            r#"{"source":"k8s_event","message":"x","object":{"name":"worker-a","kind":"Node"}}"#,
            "/@worker-a",
        );
        let unready = r#"I0101 10:00:00.000000 1 kubelet_node_status.go:669] "Recording event message for node" node="worker-a" event="NodeNotReady""#;
        check(&[("unit", "kubelet.service")], unready, "/kubelet@worker-a");
        check(&[("node_name", "worker-b")], unready, "/@worker-b");
        let new_event = "name=api-6b7f9c8d5-x2x4z kind=Pod eventRV=2 reportinginstance=worker-a reportingcontroller=kubelet reason=BackOff msg=\"x\" ";
        check(SHOP, new_event, "shop/api@worker-a");
        let scheduler = "name=api-6b7f9c8d5-x2x4z kind=Pod eventRV=2 reportinginstance=cp-0 reportingcontroller=default-scheduler reason=FailedScheduling msg=\"x\" ";
        check(SHOP, scheduler, "shop/api@");
        let static_pod =
            "name=etcd-cp-1 kind=Pod eventRV=2 sourcehost=cp-1 reason=BackOff msg=\"x\" ";
        check(SHOP, static_pod, "shop/etcd@cp-1");
    }

    #[test]
    fn a_syslog_header_tells_the_node_where_nothing_else_does() {
        let kernel = "kernel: [ 7063.2] Killed process 1 (x)";
        for header in ["May  6 07:17:29 worker-a", "<6>May 16 07:17:29 worker-a"] {
            check(&[], &format!("{header} {kernel}"), "/@worker-a");
        }
        let newer = "<30>1 2024-03-25T13:21:13.883290Z worker-a kubelet 4500 - - x";
        check(&[], newer, "/@worker-a");
        check(&[("host", "worker-b")], newer, "/@worker-b");
        for none in [
            "<30>1 2024-03-25T13:21:13.883290Z - kubelet 4500 - - x",
            "May 6 07:17:29 INFO Server started: fine",
            "<x>May 6 07:17:29 worker-a sshd: x",
            "1 2 worker-a x: y",
            "May  6 07:17:29 worker-a",
        ] {
            check(&[], none, "/@");
        }
    }

    #[test]
    fn what_only_looks_like_an_object_is_none() {
        let pod = &[("app", "store"), ("namespace", "shop")];
        for line in [
            "name=upload kind=image msg=\"stored\"",
            r#"{"name":"upload","kind":"image","reason":"asked"}"#,
            r#"{"object":{"name":"a/b.png","kind":"image"},"source":"s3"}"#,
            r#"{"object":"a/b.png"}"#,
            r#"calling ext4_free_inode(352) and do_call_x(deadbeef"#,
            r#"pod="" object="shop/x" mypod="shop/y" pod="a b" pod=shop/x"#,
            r#"{"source":"pod_log","object":{"kind":"Pod","name":""},"pod":""}"#,
            r#"{"involvedObject":{"kind":"Pod""#,
            "name=",
            "{",
            "",
        ] {
            check(pod, line, "shop/store@");
        }
        check(&[("job", "x")], "it fails", "/@");
        check(&[("job_name", "report-29412345")], "x", "/report@");
        check(&[("unit", "docker")], "x", "/docker@");
    }

    #[track_caller]
    fn check_run(namespace: &str, expected: Option<(&str, &str, &str)>) {
        let stream = Stream::new("".into(), labels(&[("namespace", namespace)]));
        let in_json = format!(r#"{{"source":"pod_log","object":{{"namespace":"{namespace}"}}}}"#);
        let in_pairs = format!("level=error namespace={namespace} msg=x");
        let bare = Stream::new("".into(), labels(&[]));
        for line in [
            Line::new(&stream, b"x"),
            Line::new(&bare, in_json.as_bytes()),
            Line::new(&bare, in_pairs.as_bytes()),
        ] {
            let value = |name| {
                let value = value(name, &line)?;
                std::str::from_utf8(value).ok()
            };
            let found = value("installer").map(|installer| {
                let rest = ["run_id", "run_attempt"].map(|name| value(name).unwrap_or("missing"));
                (installer, rest[0], rest[1])
            });
            assert_eq!(found, expected, "{namespace}");
        }
    }

    #[test]
    fn the_namespace_of_a_test_run_tells_the_run() {
        check_run("test-helm-18234-1", Some(("helm", "18234", "1")));
        check_run(
            "test-kind-and-helm-18234-12",
            Some(("kind-and-helm", "18234", "12")),
        );
        check_run(
            "test-ci-550e8400-e29b-41d4-a89f-446657440000-1",
            Some(("ci", "550e8400-e29b-41d4-a89f-446657440000", "1")),
        );
        for none in [
            "test-18234-1",
            "test--18234-1",
            "test-helm-x-1",
            "test-helm-18234-",
            "test-helm-18234",
            "my-test-helm-18234-1",
            "test-",
            "default",
        ] {
            check_run(none, None);
        }
        let stream = labels(&[
            ("namespace", "default"),
            ("vcluster_namespace", "test-a-7-2"),
        ]);
        let stream = Stream::new("".into(), stream);
        let line = Line::new(&stream, b"namespace=test-b-8-3");
        assert_eq!(value("run_id", &line), Some(&b"7"[..]));
    }

    #[test]
    fn every_derived_name_is_derived_and_nothing_else() {
        let stream = Stream::new(
            "".into(),
            labels(&[("namespace", "test-helm-1-1"), ("app", "a"), ("node", "n")]),
        );
        let line = Line::new(&stream, b"x");
        for name in crate::rules::DERIVED {
            assert!(value(name, &line).is_some(), "{name}");
        }
        assert!(crate::rules::DERIVED.is_sorted());
        assert_eq!(value("app", &line), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(
            line in "(\\{|name=|<[0-9]>1? )?([a-z]{1,3}|pod=\"?|kind=|eventRV=|\"object\":|\"source\":|\\{|\\}|\\(|_|/|-|\"|:|,|\\\\| |Jan|[0-9a-f]{8}|é){0,24}",
        ) {
            let stream = Stream::new("".into(), labels(&[]));
            let line = Line::new(&stream, line.as_bytes());
            for name in crate::rules::DERIVED {
                value(name, &line);
            }
        }
    }
}
