//! A real PostgreSQL for the tests: one server for a process of tests, a database for each test.
//!
//! It is found on the PATH, where Debian puts it, or in `target/postgres`, where `make test` puts it
//! on a machine that has none. It runs as nobody where the tests run as root, since it refuses to be
//! root, and it ends with the process of the tests, however that ends: a shell beside it waits for the
//! end of a pipe that only this process holds open.

use crate::root;
use postgres::{Client, NoTls};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Who asks.
pub const USER: &str = "etl";
/// Their password, which must not be seen anywhere.
pub const PASSWORD: &str = "hidden-7Kq";

/// Who runs the server where the tests run as root.
const NOBODY: u32 = 65534;
const START: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);

const SETTINGS: &str = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n\
    unix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\nlog_min_messages = fatal\n\
    max_wal_size = 4GB\nlc_messages = 'C'\n";

/// Waits for the end of its stdin, then ends the server and removes its folder.
const WATCH: &str = r#""$0" -D "$1" -p "$2" >"$1/log" 2>&1 </dev/null & pid=$!
    cat >/dev/null; kill -QUIT $pid; wait $pid; rm -rf "${1%/data}""#;

struct Server {
    port: u16,
    /// Holds the pipe.
    _watch: Child,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        // Another process may take the port that was free a moment ago.
        (0..3).find_map(|_| start(&cluster())).expect("PostgreSQL does not start")
    })
}

/// The folder of its programs.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders.push(root().join("target/postgres/pgserver/pginstall/bin"));
    let has_both =
        |folder: &&PathBuf| ["initdb", "postgres"].iter().all(|it| folder.join(it).is_file());
    let found = folders.iter().find(has_both);
    let found =
        found.expect("no PostgreSQL: `make postgres` gets one, and `make test` does it first");
    // initdb looks for postgres beside itself, behind no link.
    let initdb = found.join("initdb").canonicalize().expect("it is there");
    initdb.parent().expect("it lies in a folder").to_owned()
}

/// As nobody where we are root.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    folder.path().metadata().expect("it is there").uid() == 0
}

fn cluster() -> PathBuf {
    let folder = tempfile::tempdir().expect("a temporary folder can be made").keep();
    let password = folder.join("password");
    fs::write(&password, PASSWORD).expect("a temporary file can be written");
    if is_root() {
        for path in [&folder, &password] {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
    }
    let data = folder.join("data");
    let mut initdb = command(&programs().join("initdb"));
    initdb.args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N"]);
    initdb.arg("-D").arg(&data).arg("--pwfile").arg(&password);
    let made = initdb.output().expect("initdb runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let settings = data.join("postgresql.conf");
    let text = fs::read_to_string(&settings).expect("initdb has written it") + SETTINGS;
    fs::write(&settings, text).expect("it can be written");
    data
}

fn start(data: &Path) -> Option<Server> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let mut watch = command(Path::new("/bin/sh"));
    watch.args(["-c", WATCH]).arg(programs().join("postgres")).arg(data).arg(port.to_string());
    watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    watch.process_group(0); // a Ctrl-C of the tests is not the server's
    let watch = watch.spawn().expect("a shell starts");
    let server = Server { port, _watch: watch };
    let began = Instant::now();
    while began.elapsed() < START {
        if Client::connect(&url(&server, "postgres"), NoTls).is_ok() {
            return Some(server);
        }
        thread::sleep(TICK);
    }
    None
}

fn url(server: &Server, name: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{name}", server.port)
}

/// A database of its own for a test.
pub struct Database {
    name: String,
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    /// An empty one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut client = Client::connect(&url(server(), "postgres"), NoTls).expect("it runs");
        client.batch_execute(&format!("CREATE DATABASE {name}")).expect("we may");
        Database { name }
    }

    /// Its address, with the password.
    pub fn url(&self) -> String {
        url(server(), &self.name)
    }

    /// The same as it may be shown.
    pub fn shown(&self) -> String {
        self.url().replace(&format!(":{PASSWORD}"), "")
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        server().port
    }

    /// A session in it.
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).expect("it runs")
    }

    /// Runs statements.
    #[track_caller]
    pub fn run(&self, statements: &str) {
        self.client().batch_execute(statements).unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// The rows of a query as text: `|` between the values, each row on a line.
    #[track_caller]
    pub fn rows(&self, query: &str) -> String {
        use postgres::SimpleQueryMessage::Row;
        let rows = self.client().simple_query(query).unwrap_or_else(|error| panic!("{error:?}"));
        let mut text = String::new();
        for message in rows {
            if let Row(row) = message {
                let values = (0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned());
                text += &(values.collect::<Vec<_>>().join("|") + "\n");
            }
        }
        text
    }
}
