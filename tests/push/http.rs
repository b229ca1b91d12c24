//! Just enough of an HTTP client to say exactly what is sent, and when.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Header lines in lower case.
    pub(crate) headers: String,
    pub(crate) body: String,
}

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("it listens"))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("it reads");
    }

    /// Sends a request with its length, and reads the answer.
    pub(crate) async fn request(
        &mut self,
        first_line: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Answer {
        let mut request = format!("{first_line} HTTP/1.1\r\nHost: t\r\n").into_bytes();
        for (name, value) in headers {
            request.extend(name.as_bytes());
            request.extend(b": ");
            request.extend(*value);
            request.extend(b"\r\n");
        }
        request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend(body);
        self.send(request).await;
        self.answer().await.expect("an answer")
    }

    /// Pushes JSON.
    pub(crate) async fn push(&mut self, body: &str) -> Answer {
        let headers: [(&str, &[u8]); 1] = [("Content-Type", b"application/json")];
        self.request("POST /loki/api/v1/push", &headers, body.as_bytes())
            .await
    }

    /// The next answer; `None` when the connection is closed without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return None,
            }
        }
        let headers = String::from_utf8(head).expect("ASCII").to_lowercase();
        let status = headers[9..12].parse().expect("a status");
        let length = headers
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Answer {
            status,
            headers,
            body: String::from_utf8(body).expect("UTF-8"),
        })
    }

    /// Whether the connection ends without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        !matches!(self.0.read(&mut [0]).await, Ok(1..))
    }
}
