//! A small recorded incident for `trommel run --sample`: a first-time user sees a finding open and recover within seconds.
//!
//! The entries lie in the last half hour, so that event time does in seconds what the clock would do in thirty minutes:
//! an LDAP directory fails five times in five minutes, then the service goes on without an error.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::{info, warn};

use crate::time::Timestamp;

/// How long ago the incident began.
const BEGAN: Duration = Duration::from_secs(28 * 60);
const MINUTE: Duration = Duration::from_secs(60);
/// Pause between two pushes: so that a person sees one thing after the other.
const PAUSE: Duration = Duration::from_millis(100);

/// What the service said, minute by minute.
fn line(minute: u32) -> &'static str {
    match minute {
        2..=6 => {
            r#"level=error msg="login failed" err="LDAP Result Code 200 \"Network Error\": dial tcp 10.0.0.9:389: i/o timeout""#
        }
        7 => r#"level=info msg="directory reachable again" addr=10.0.0.9:389"#,
        _ => r#"level=info msg="request done" method=GET path=/projects status=200"#,
    }
}

/// Pushes the incident to `to`, one request a minute of its time.
pub(super) async fn push(to: SocketAddr) {
    let began = Timestamp::wall_clock().minus(BEGAN);
    info!("pushing a recorded incident: five LDAP failures, then quiet");
    for minute in 0..=27 {
        if let Err(error) = push_one(to, began.plus(MINUTE * minute), line(minute)).await {
            warn!(%error, "the recorded incident could not be pushed");
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    info!("the recorded incident is over; trommel goes on listening, stop it with Ctrl-C");
}

async fn push_one(to: SocketAddr, at: Timestamp, line: &str) -> io::Result<()> {
    let labels =
        serde_json::json!({"namespace": "shop", "app": "accounts", "container": "accounts"});
    let values = serde_json::json!([[at.nanos().to_string(), line]]);
    let body = serde_json::json!({"streams": [{"stream": labels, "values": values}]}).to_string();
    let mut socket = TcpStream::connect(to).await?;
    let request = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    if answer.starts_with("HTTP/1.1 204") {
        Ok(())
    } else {
        Err(io::Error::other(
            answer.lines().next().unwrap_or("no answer").to_owned(),
        ))
    }
}
