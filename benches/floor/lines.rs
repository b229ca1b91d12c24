//! Lines like those of a cluster: made up, the same on every run.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use trommel::batch::Labels;

use crate::wire::SentStream;

/// What a row's lines are like.
pub(crate) enum Mix {
    /// Ordinary lines; so many of a thousand hold one of the examples.
    Hits { per_mille: u64 },
    /// Each line holds an example that lacks its first character.
    NearMisses,
    /// These lines, over and over.
    Given(Vec<Vec<u8>>),
}

const STREAMS: usize = 20;
const BYTES: usize = 1_190_000;

impl Mix {
    /// One request's streams.
    pub(crate) fn streams(&self, seed: u64, examples: &[String]) -> Vec<SentStream> {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
        (0..STREAMS)
            .map(|number| {
                let mut lines = Vec::new();
                let mut bytes = 0;
                while bytes < BYTES / STREAMS {
                    let line = self.line(number, &mut random, examples);
                    bytes += line.len() + 24;
                    lines.push(line);
                }
                SentStream {
                    labels: labels(number),
                    lines,
                }
            })
            .collect()
    }

    fn line(&self, stream: usize, random: &mut Random, examples: &[String]) -> Vec<u8> {
        if let Self::Given(lines) = self {
            return random.one_of(lines).clone();
        }
        let mut line = ordinary(stream, random);
        let example = random.one_of(examples);
        match self {
            Self::Hits { per_mille } if random.below(1000) < *per_mille => {
                line.push(' ');
                line.push_str(example);
            }
            Self::NearMisses => {
                line.push(' ');
                line.extend(example.chars().skip(1));
            }
            Self::Hits { .. } | Self::Given(_) => {}
        }
        line.into_bytes()
    }
}

fn labels(stream: usize) -> Labels {
    let apps = [
        "frontend",
        "checkout",
        "kubelet",
        "postgres",
        "ingress-nginx",
    ];
    let pairs = [
        ("namespace", format!("team-{}", stream % 7)),
        ("app", apps[stream % apps.len()].to_owned()),
        (
            "pod",
            format!("{}-7d9f8b6c5d-x{stream:02}", apps[stream % apps.len()]),
        ),
        ("container", "main".to_owned()),
        ("cluster", "demo".to_owned()),
    ];
    Labels::new(pairs.map(|(name, value)| (name.into(), value.into())))
}

/// A line of one of the formats that clusters write; a stream keeps to its own, mostly.
fn ordinary(stream: usize, r: &mut Random) -> String {
    let ms = r.below(60_000);
    let (second, milli) = (ms / 1000, ms % 1000);
    let time = format!("2026-01-07T10:15:{second:02}.{milli:03}Z");
    let id = format!("{:016x}", r.next());
    let took = r.below(900);
    let path = r.one_of(&[
        "/api/v1/users",
        "/api/v1/orders/1234/items",
        "/healthz",
        "/metrics",
        "/login",
        "/static/app.js",
    ]);
    let user = r.one_of(&["alice", "bob", "deploy", "svc-backup", "system:node:node-1"]);
    let word = r.one_of(&[
        "cache", "session", "order", "invoice", "worker", "snapshot", "index", "replica",
    ]);
    let kind = if r.below(10) == 0 {
        r.below(12)
    } else {
        stream as u64 % 12
    };
    match kind {
        0 => format!(
            "level=info ts={time} caller=server.go:{took} component={word} msg=\"request completed\" method=GET path={path} status=200 duration={took}.{milli:03}ms trace_id={id}"
        ),
        1 => format!(
            "{{\"level\":\"info\",\"ts\":\"{time}\",\"logger\":\"{word}-controller\",\"caller\":\"controller/controller.go:{took}\",\"msg\":\"reconciled object\",\"namespace\":\"team-3\",\"name\":\"{user}\",\"requestId\":\"{id}\"}}"
        ),
        2 => format!(
            "I0107 10:15:{second:02}.{milli:03}123    1234 kubelet_pods.go:{took}] \"Observed pod startup duration\" pod=\"team-1/frontend-7d9f8b6c5d-x2x4z\" podStartSLOduration={took}.{milli} uid=\"{id}\""
        ),
        3 => format!(
            "10.244.{}.{} - {user} [07/Jan/2026:10:15:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 {ms} \"https://shop.example.com/\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\" {took}",
            r.below(255),
            r.below(255)
        ),
        4 => format!(
            "2026-01-07 10:15:{second:02}.{milli:03}  INFO 1 --- [nio-8080-exec-{}] c.e.shop.{word}.{word}Service : processed {word} {ms} for customer {took} in {took} ms, status ok",
            r.below(16)
        ),
        5 => format!(
            "2026-01-07 10:15:{second:02}.{milli:03} UTC [{took}] LOG:  checkpoint complete: wrote {took} buffers (0.{milli}%); 0 WAL file(s) added, 0 removed, 1 recycled; write={second}.{milli} s, sync=0.012 s"
        ),
        6 => format!(
            "time=\"{time}\" level=warning msg=\"retrying {word} after temporary problem\" attempt={} backoff={took}ms target=https://{word}.default.svc.cluster.local:8443 id={id}",
            r.below(5)
        ),
        7 => format!(
            "{{\"time\":\"{time}\",\"severity\":\"INFO\",\"message\":\"handled request\",\"http\":{{\"method\":\"POST\",\"path\":\"{path}\",\"status\":201}},\"duration_ms\":{took},\"user\":\"{user}\",\"trace\":\"{id}\"}}"
        ),
        8 => format!(
            "name={word}-7d9f8b6c5d-x2x4z kind=Pod objectAPIversion=v1 objectRV={ms} eventRV={ms} sourcecomponent=kubelet sourcehost=node-{} reason=Pulled type=Normal count=1 msg=\"Container image already present on machine\" ",
            r.below(9)
        ),
        9 => format!(
            "[{}] 2026/01/07 10:15:{second:02}.{milli:03}456 [INF] {word} consumer {id} acknowledged {took} messages on team.{word}.events",
            r.below(99)
        ),
        10 => format!(
            "Jan  7 10:15:{second:02} node-1 systemd[1]: Started session {took} of user {user}. {id}"
        ),
        _ => format!(
            "{time} DEBUG [{word}-{}] {word} lookup for key {word}:{ms}:{id} took {took} us, 0 errors, hit=true",
            r.below(32)
        ),
    }
}

/// The lines of the corpus, if it lies beside the checkout.
pub(crate) fn corpus() -> Option<Vec<Vec<u8>>> {
    let bulk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/bulk");
    let mut lines = Vec::new();
    for file in fs::read_dir(bulk).ok()?.flatten() {
        if file
            .path()
            .extension()
            .is_none_or(|extension| extension != "gz")
        {
            continue;
        }
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(File::open(file.path()).ok()?)
            .read_to_end(&mut text)
            .ok()?;
        lines.extend(text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec));
    }
    lines.sort();
    Some(lines)
}

/// Xorshift: a small generator that gives the same lines on every machine.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}
