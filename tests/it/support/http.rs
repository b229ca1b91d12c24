//! HTTP/1.1 as a client speaks it, in the open: the tests want to choose every byte, keep a connection alive,
//! and see a refused one as such.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Alloy's time-out in the configuration that the README shows.
pub(crate) const REMOTE_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of the header `name`, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// A request, also as [`crate::support::proxy`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Values are bytes: not every client keeps to ASCII.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A push as Alloy sends it.
    pub(crate) fn push_protobuf(body: Vec<u8>) -> Self {
        Self::push("/loki/api/v1/push", "application/x-protobuf", body)
            .with_header("Content-Encoding", "snappy")
            .with_header("User-Agent", "Alloy/v1.11.0")
    }

    /// A push as simple clients send it.
    pub(crate) fn push_json(body: Vec<u8>) -> Self {
        Self::push("/loki/api/v1/push", "application/json", body)
    }

    fn push(path: &str, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body,
        }
        .with_header("Content-Type", content_type)
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What goes over the wire.
    pub(crate) fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut bytes = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n",
            self.method,
            self.path,
            self.body.len()
        )
        .into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads one request; `None` when the other side has closed the connection instead of sending another.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some((start, headers)) = read_head(from)? else {
            return Ok(None);
        };
        let mut words = start.split(' ');
        let (method, path) = (words.next(), words.next());
        let length = content_length(&headers)?.unwrap_or(0);
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Some(Self {
            method: method.unwrap_or_default().to_owned(),
            path: path.unwrap_or_default().to_owned(),
            headers: headers
                .into_iter()
                // Written anew by whoever sends it on.
                .filter(|(name, _)| name != "host" && name != "content-length")
                .map(|(name, value)| (name, value.into_bytes()))
                .collect(),
            body,
        }))
    }
}

/// A connection that is kept alive from one request to the next, and made anew when the server has closed it.
#[derive(Debug)]
pub(crate) struct Client {
    server: SocketAddr,
    timeout: Duration,
    /// Whether a request whose connection breaks under it is sent once more, on a new one, before that is an error.
    repeats: bool,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client that gives an answer [`REMOTE_TIMEOUT`].
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self::with_timeout(server, REMOTE_TIMEOUT)
    }

    pub(crate) fn with_timeout(server: SocketAddr, timeout: Duration) -> Self {
        Self {
            server,
            timeout,
            repeats: true,
            connection: None,
        }
    }

    /// As Go's client does with a POST: a kept connection that the server has closed meanwhile is made anew, but one that breaks
    /// once something is written is an error.
    pub(crate) fn without_repeats(mut self) -> Self {
        self.repeats = false;
        self
    }

    /// New connections go there from now on; one that is kept goes on.
    pub(crate) fn lead_to(&mut self, server: SocketAddr) {
        self.server = server;
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// As the socket says: refused, timed out, closed in the middle.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Answer> {
        let bytes = request.bytes(self.server);
        if let Some(connection) = self.connection.take()
            && (self.repeats || is_open(&connection))
        {
            // The server may have closed an idle connection; that shows only now and is no answer.
            match self.exchange(connection, &bytes) {
                Err(error) if self.repeats && is_closed(&error) => {}
                other => return other,
            }
        }
        let stream = TcpStream::connect_timeout(&self.server, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        self.exchange(BufReader::new(stream), &bytes)
    }

    fn exchange(
        &mut self,
        mut connection: BufReader<TcpStream>,
        bytes: &[u8],
    ) -> io::Result<Answer> {
        let written = connection.get_mut().write_all(bytes);
        // A server that refuses a body early may answer before it has read it all.
        let answer = match (written, read_answer(&mut connection)) {
            (_, Ok(answer)) => answer,
            (Err(error), Err(_)) | (Ok(()), Err(error)) => return Err(error),
        };
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// Whether the server has not closed the connection, as far as is known here.
fn is_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let nothing_came = |stream: &TcpStream| match stream.peek(&mut [0]) {
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        Ok(_) => false,
    };
    stream.set_nonblocking(true).is_ok()
        && nothing_came(stream)
        && stream.set_nonblocking(false).is_ok()
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// Reads one answer, whose body may be chunked.
pub(crate) fn read_answer(from: &mut impl BufRead) -> io::Result<Answer> {
    let (start, headers) = read_head(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = start
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other(format!("not a status line: {start}")))?;
    let mut body = Vec::new();
    if find(&headers, "transfer-encoding") == Some("chunked") {
        read_chunks(from, &mut body)?;
    } else if status != 204 {
        let length = content_length(&headers)?.unwrap_or(0);
        body.resize(length, 0);
        from.read_exact(&mut body)?;
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = read_line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let begin = body.len();
        body.resize(begin + size, 0);
        from.read_exact(&mut body[begin..])?;
        read_line(from)?;
        if size == 0 {
            return Ok(());
        }
    }
}

type Head = (String, Vec<(String, String)>);

/// The first line and the headers, names in lower case.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(start) = read_line(from)? else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some((start, headers)));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// One line without its end; `None` at the end of the stream.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn content_length(headers: &[(String, String)]) -> io::Result<Option<usize>> {
    find(headers, "content-length")
        .map(|length| length.parse().map_err(io::Error::other))
        .transpose()
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(candidate, _)| candidate == name)
        .map(|(_, value)| value.as_str())
}
