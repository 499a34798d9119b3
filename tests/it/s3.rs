//! A server of objects on this machine, as S3 answers, that can be made to fail: `s3s-fs` says what
//! is right, and what stands before it here breaks connections and refuses, request by request.
//!
//! It speaks just so much HTTP as a client of S3 needs: a length, and connections that are used again.

use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpRequest};
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Who may ask.
pub(crate) const KEY: &str = "some-access-key";
/// What they must know. No run may ever show it.
pub(crate) const SECRET: &str = "hush-do-not-tell-anybody";

/// A request, as whoever decides about it sees it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many came before.
    pub(crate) number: usize,
    /// `GET`.
    pub(crate) method: String,
    /// `/bucket/key?partNumber=1&uploadId=…`.
    pub(crate) target: String,
}

impl Asked {
    /// Whether a part is sent.
    pub(crate) fn is_part(&self) -> bool {
        self.method == "PUT" && self.target.contains("partNumber=")
    }

    /// Whether the parts of an upload are to be joined.
    pub(crate) fn is_join(&self) -> bool {
        self.method == "POST" && self.target.contains("uploadId=")
    }

    /// Whether an object, or a range of it, is to be read.
    pub(crate) fn is_read(&self) -> bool {
        self.method == "GET" && !self.target.contains("list-type=")
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered.
    None,
    /// It is refused with this status.
    Refused(u16),
    /// There is no such thing, says this code.
    Missing(&'static str),
    /// Nothing is done, and nothing answered.
    Held,
    /// It is done, and nothing answered.
    AnswerHeld,
    /// Half of the answer's body comes, then the connection breaks.
    AnswerCut,
    /// Half of the request's body is taken, then the connection breaks.
    RequestCut,
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
}

type Decide = Box<dyn FnMut(&Asked) -> Fault + Send>;

/// A server with some buckets, as long as it lives.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    decide: Arc<Mutex<Decide>>,
    _runtime: Arc<Runtime>,
}

impl Server {
    /// Starts one that has this bucket.
    pub(crate) fn start(bucket: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join(bucket)).expect("a bucket is a folder");
        let mut builder =
            S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("it is there"));
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = Arc::new(builder.build());
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Arc::new(runtime.expect("threads can be started"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Box::new(|_| Fault::None)));
        let connection = Connection {
            service,
            runtime: runtime.clone(),
            asked: asked.clone(),
            decide: decide.clone(),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = connection.clone();
                thread::spawn(move || connection.serve(stream));
            }
        });
        Server { folder, port, asked, decide, _runtime: runtime }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment of whoever may ask it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Decides from now on what becomes of requests.
    pub(crate) fn on_request(&self, decide: impl FnMut(&Asked) -> Fault + Send + 'static) {
        *self.decide.lock().expect("nobody panicked") = Box::new(decide);
    }

    /// All requests so far, as `METHOD TARGET`.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// Where its buckets are, as folders.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(key)
    }

    /// Puts an object there: `bucket/key`.
    pub(crate) fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("it lies in a bucket"))
            .expect("folders can be made");
        fs::write(path, content).expect("a temporary file can be written");
    }

    /// What an object holds; `None` where there is none.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.path(key)).ok()
    }

    /// How many uploads were begun and neither completed nor given up, and how many parts are left.
    pub(crate) fn uploads(&self) -> (usize, usize) {
        let entries = fs::read_dir(self.folder.path()).expect("it can be read");
        let names: Vec<String> = entries
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        let count = |start: &str| names.iter().filter(|name| name.starts_with(start)).count();
        (count(".upload-"), count(".upload_id-"))
    }
}

/// What all connections share.
#[derive(Clone)]
struct Connection {
    service: Arc<S3Service>,
    runtime: Arc<Runtime>,
    asked: Arc<Mutex<Vec<Asked>>>,
    decide: Arc<Mutex<Decide>>,
}

/// What came first of a request.
struct Head {
    method: String,
    target: String,
    headers: HashMap<String, String>,
}

impl Connection {
    /// Answers one request after the other, until somebody has enough.
    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut reader = BufReader::new(stream);
        while let Ok(Some(head)) = head(&mut reader) {
            match self.answer(head, &mut reader) {
                Ok(true) => {}
                _ => break,
            }
        }
        let _ = reader.get_ref().shutdown(Shutdown::Both);
    }

    /// Whether another may follow.
    fn answer(&self, head: Head, reader: &mut BufReader<TcpStream>) -> io::Result<bool> {
        let Head { method, target, headers } = head;
        let asked = {
            let mut all = self.asked.lock().expect("nobody panicked");
            let asked = Asked { number: all.len(), method, target };
            all.push(asked.clone());
            asked
        };
        let fault = self.decide.lock().expect("nobody panicked")(&asked);
        let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        let mut body = vec![0; if fault == Fault::RequestCut { length / 2 } else { length }];
        reader.read_exact(&mut body)?;
        if fault == Fault::RequestCut {
            return Ok(false);
        }
        if fault == Fault::Held {
            return hold(reader);
        }
        let refused = match fault {
            Fault::Refused(403) => Some((403, "AccessDenied")),
            Fault::Refused(503) => Some((503, "SlowDown")),
            Fault::Refused(status) => Some((status, "InternalError")),
            Fault::Missing(code) => Some((404, code)),
            _ => None,
        };
        let stream = reader.get_mut();
        if let Some((status, code)) = refused {
            let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
            let length = if asked.method == "HEAD" { 0 } else { text.len() };
            write!(stream, "HTTP/1.1 {status} No\r\ncontent-length: {length}\r\n\r\n")?;
            if length > 0 {
                stream.write_all(text.as_bytes())?;
            }
            return Ok(true);
        }
        let mut request = HttpRequest::new(Body::from(body));
        *request.method_mut() = asked.method.parse().expect("a method");
        *request.uri_mut() = asked.target.parse().expect("a target");
        *request.headers_mut() = (&headers).try_into().expect("headers");
        let answer = self.runtime.block_on(async {
            let mut answer =
                self.service.call(request).await.map_err(|_| io::Error::other("s3s"))?;
            let bytes = answer.body_mut().store_all_limited(usize::MAX).await;
            Ok::<_, io::Error>((answer, bytes.map_err(io::Error::other)?))
        });
        let (answer, bytes) = answer?;
        match fault {
            Fault::AnswerLost => return Ok(false),
            Fault::AnswerHeld => return hold(reader),
            _ => {}
        }
        let stream = reader.get_mut();
        let mut text = format!("HTTP/1.1 {} It\r\n", answer.status().as_u16());
        // Whole, and not in chunks: an answer that says otherwise would be none to a client.
        let headers = answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding");
        for (name, value) in headers {
            text += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
        if !answer.headers().contains_key("content-length") && answer.status().as_u16() != 204 {
            text += &format!("content-length: {}\r\n", bytes.len());
        }
        stream.write_all((text + "\r\n").as_bytes())?;
        let bytes = if asked.method == "HEAD" { Default::default() } else { bytes };
        let is_cut = fault == Fault::AnswerCut;
        stream.write_all(&bytes[..if is_cut { bytes.len() / 2 } else { bytes.len() }])?;
        Ok(!is_cut)
    }
}

/// Waits until who asked has gone.
fn hold(reader: &mut impl Read) -> io::Result<bool> {
    reader.read(&mut [0]).map(|_| false)
}

/// `None`: there is no further request.
fn head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Head { method, target, headers }))
}
