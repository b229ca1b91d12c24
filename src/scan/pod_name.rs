//! What runs in a pod, by the pod's name: the name without what Kubernetes made up.
//!
//! A pod's name is that of its owner with something appended, and so is the name of a ReplicaSet and of a CronJob's Job:
//!
//! | owner | pod |
//! |---|---|
//! | Deployment | `api-6b7f9c8d5-x2x4z`: the hash of the template, then five letters and digits |
//! | DaemonSet, Job | `fluent-bit-x2x4z` |
//! | CronJob | `backup-29412345-x2x4z`: when it was due, in minutes since 1970, then the five |
//! | StatefulSet | `postgres-0` |
//! | none, a static pod | `etcd-cp-1` on the node `cp-1` |
//!
//! Source: `SafeEncodeString` in kubernetes/apimachinery `pkg/util/rand`, `GenerateName` in kubernetes/apiserver
//! `storage/names`, `getJobName` in kubernetes `pkg/controller/cronjob`, `generatePodName` in `pkg/kubelet/config`.

/// Bytes that Kubernetes makes names of: without vowels, and without the digits that look like them, so that no words come out.
const RANDOM: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of what `GenerateName` appends.
const SUFFIX_BYTES: usize = 5;

/// Names of programs that could be such a suffix by their letters.
const WORDS: [&[u8]; 6] = [b"dhcpd", b"httpd", b"https", b"mssql", b"pgsql", b"smtps"];

/// The workload of the pod `name`, which runs on `node` if that is known: the pod's own name if nothing of it is made up.
pub(super) fn workload<'a>(name: &'a [u8], node: Option<&[u8]>) -> &'a [u8] {
    if let Some(stem) = node.and_then(|node| before(name, node)) {
        return stem;
    }
    let Some((stem, last)) = cut(name) else {
        return name;
    };
    if last.len() == SUFFIX_BYTES && (is_random(last) || is_hex(last)) {
        match cut(stem) {
            Some((owner, hash)) if is_hash(hash) => return owner,
            _ if is_random(last) && !WORDS.contains(&last) => return stem,
            _ => {}
        }
    }
    if last.len() < SUFFIX_BYTES && last.iter().all(u8::is_ascii_digit) {
        return stem;
    }
    name
}

/// The Deployment of the ReplicaSet `name`.
pub(super) fn deployment(name: &[u8]) -> &[u8] {
    match cut(name) {
        Some((stem, hash)) if is_hash(hash) => stem,
        _ => name,
    }
}

/// The CronJob of the Job `name`; the Job itself if no time stands behind it.
pub(super) fn cron_job(name: &[u8]) -> &[u8] {
    match cut(name) {
        Some((stem, due)) if is_hash(due) && due.iter().all(u8::is_ascii_digit) => stem,
        _ => name,
    }
}

/// What the object `name`, of a kind that we do not know, was generated for. A suffix without a digit may be a word, and stays.
pub(super) fn generated_for(name: &[u8]) -> &[u8] {
    match cut(name) {
        Some((stem, last))
            if last.len() == SUFFIX_BYTES
                && is_random(last)
                && last.iter().any(u8::is_ascii_digit) =>
        {
            stem
        }
        _ => name,
    }
}

/// `name` before and after its last dash, both not empty.
fn cut(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b'-', name)?;
    let (stem, last) = (&name[..at], &name[at + 1..]);
    (!stem.is_empty() && !last.is_empty()).then_some((stem, last))
}

/// `name` without `end` and the dash before it.
fn before<'a>(name: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let stem = name.strip_suffix(end)?.strip_suffix(b"-")?;
    (!end.is_empty() && !stem.is_empty()).then_some(stem)
}

fn is_random(piece: &[u8]) -> bool {
    piece.iter().all(|byte| RANDOM.contains(byte))
}

fn is_hex(piece: &[u8]) -> bool {
    piece
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `piece` can be the hash of a template, or a time: a number of 32 bits, encoded. One without a digit is taken for a word.
fn is_hash(piece: &[u8]) -> bool {
    (6..=10).contains(&piece.len())
        && (is_random(piece) || is_hex(piece))
        && piece.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(of: fn(&[u8]) -> &[u8], cases: &[(&str, &str)]) {
        for (name, expected) in cases {
            let found = of(name.as_bytes());
            assert_eq!(String::from_utf8_lossy(found), *expected, "{name}");
        }
    }

    #[test]
    fn a_pod_is_named_by_what_owns_it() {
        check(
            |name| workload(name, None),
            &[
                ("api-6b7f9c8d5-x2x4z", "api"),
                ("api-6549b71d9-41171", "api"),
                ("image-builder-5f6c7d-9mzq2", "image-builder"),
                ("traefik-039290383-32e9a", "traefik"),
                ("calico-node-4z9tq", "calico-node"),
                ("kube-proxy-zxcvb", "kube-proxy"),
                ("backup-29412345-x2x4z", "backup"),
                ("backup-1764392400-x2x4z", "backup"),
                ("migrate-5-x2x4z", "migrate-5"),
                ("postgres-0", "postgres"),
                ("redis-shard-2-11", "redis-shard-2"),
                ("api", "api"),
            ],
        );
    }

    #[test]
    fn words_and_versions_are_no_suffixes() {
        check(
            |name| workload(name, None),
            &[
                ("ingress-nginx", "ingress-nginx"),
                ("proxy-https", "proxy-https"),
                ("proxy-https-6b7f9c8d5-x2x4z", "proxy-https"),
                ("api-v1beta1-x2x4z", "api-v1beta1"),
                ("web-stage2-x2x4z", "web-stage2"),
                ("model-decade-x2x4z", "model-decade"),
                ("api-feed1", "api-feed1"),
                ("sshd-10022", "sshd-10022"),
                ("-x2x4z", "-x2x4z"),
                ("api-", "api-"),
                ("", ""),
            ],
        );
    }

    #[test]
    fn a_static_pod_has_the_name_of_its_node_behind_its_own() {
        let on = |node: &'static str| workload(b"kube-scheduler-cp-1", Some(node.as_bytes()));
        assert_eq!(on("cp-1"), b"kube-scheduler");
        assert_eq!(on("p-1"), b"kube-scheduler-cp");
        assert_eq!(on(""), b"kube-scheduler-cp");
        assert_eq!(workload(b"cp-1", Some(b"cp-1")), b"cp");
    }

    #[test]
    fn other_objects_lose_what_their_kind_has_made_up() {
        check(
            deployment,
            &[
                ("api-6b7f9c8d5", "api"),
                ("api-worker", "api-worker"),
                ("api", "api"),
            ],
        );
        check(
            cron_job,
            &[
                ("backup-29412345", "backup"),
                ("report-77", "report-77"),
                ("import-6b7f9c8d5", "import-6b7f9c8d5"),
            ],
        );
        check(
            generated_for,
            &[
                ("api-x2x4z", "api"),
                ("api-zxcvb", "api-zxcvb"),
                ("data-postgres-0", "data-postgres-0"),
            ],
        );
    }
}
