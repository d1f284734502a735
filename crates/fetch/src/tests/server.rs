//! HTTP server of tests on the loopback, which answers as it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Number of the request, from 0.
    pub number: usize,
    /// Path of the address.
    pub path: String,
    /// Lines of the head, in lower case.
    pub head: Vec<String>,
}

impl Request {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns the first byte that is asked for.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// Answer of the server.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Status and reason.
    pub status: String,
    /// Lines of the head.
    pub head: Vec<String>,
    /// Body.
    pub body: Vec<u8>,
    /// Number of the body's bytes after which the connection is cut.
    pub cut: Option<usize>,
    /// Pause before each byte of the body.
    pub drip: Option<Duration>,
}

impl Reply {
    /// Returns an answer with its length.
    pub fn new(status: &str, body: &[u8]) -> Self {
        let head = vec![format!("Content-Length: {}", body.len())];
        Self { status: status.into(), head, body: body.into(), ..Self::default() }
    }

    /// Adds a line to the head.
    pub fn with(mut self, line: &str) -> Self {
        self.head.push(line.into());
        self
    }

    /// Cuts the connection after this many bytes of the body.
    pub fn cut(self, after: usize) -> Self {
        Self { cut: Some(after), ..self }
    }

    /// Returns the part of a file that is asked for, as a server does that can resume.
    pub fn of_file(request: &Request, file: &[u8], tag: &str) -> Self {
        let whole = Self::new("200 OK", file).with(&format!("ETag: {tag}")).with("Accept-Ranges: bytes");
        let Some(from) = request.from().filter(|_| request.header("if-range") == Some(&tag.to_lowercase())) else {
            return whole;
        };
        match file.get(from..) {
            Some(rest) if !rest.is_empty() => Self::new("206 Partial Content", rest)
                .with(&format!("ETag: {tag}"))
                .with(&format!("Content-Range: bytes {from}-{}/{}", file.len() - 1, file.len())),
            _ => Self::new("416 Range Not Satisfiable", b"").with(&format!("Content-Range: bytes */{}", file.len())),
        }
    }

    fn send(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\n", self.status)?;
        self.head.iter().try_for_each(|line| write!(stream, "{line}\r\n"))?;
        stream.write_all(b"\r\n")?;
        let body = &self.body[..self.cut.unwrap_or(self.body.len())];
        match self.drip {
            Some(pause) => body.iter().try_for_each(|byte| {
                thread::sleep(pause);
                stream.write_all(&[*byte])
            }),
            None => stream.write_all(body),
        }
    }
}

/// The server. It serves as long as the process lives.
pub struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts it.
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let Some(mut request) = read(&stream) else { return };
                    let reply = {
                        let mut seen = seen.lock().unwrap();
                        request.number = seen.len();
                        seen.push(request.clone());
                        drop(seen);
                        answer(&request)
                    };
                    // A client may have left.
                    let _ = reply.send(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, requests }
    }

    /// Returns the address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_string();
    let lines = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let head = lines.map(|line| line.to_lowercase()).collect();
    Some(Request { number: 0, path, head })
}
