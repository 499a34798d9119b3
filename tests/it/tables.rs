//! Databases as sources and sinks: a real PostgreSQL, and SQLite.
//!
//! Tables are looked at through a client of the tests' own, and not through the host.

use crate::main_job::{iris, rejects};
use crate::streams::{Live, eventually};
use etl_host_tests::postgres::{Database, PASSWORD};
use etl_host_tests::{Folder, Ran};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Flowers as columns of a table, for rows that the model takes.
const FLOWER: &str = "4.4::float8 AS sepal_length, 2.9::float8 AS sepal_width,
    1.4::float8 AS petal_length, 0.2::float8 AS petal_width";

/// A line of input: a flower with a number.
fn flower(id: impl std::fmt::Display) -> String {
    format!(
        r#"{{"id":{id},"sepal_length":4.4,"sepal_width":2.9,"petal_length":1.4,"petal_width":0.2}}"#
    ) + "\n"
}

fn flowers(ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter().map(flower).collect()
}

/// Of rejects on stderr: line and message.
fn refused(ran: &Ran) -> Vec<(u64, String)> {
    let rejects = rejects(&ran.stderr);
    rejects.iter().for_each(|it| assert_eq!(it["kind"], "refused", "{it}"));
    let told =
        |it: &Value| (it["line"].as_u64().unwrap(), it["message"].as_str().unwrap().to_owned());
    rejects.iter().map(told).collect()
}

mod postgres {
    use super::*;
    use etl_host_tests::root;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::sync::Arc;
    use std::thread;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;

    /// A run from a query to stdout, with the record merged: what is written, parsed.
    fn read(database: &Database, query: &str) -> Vec<Value> {
        let folder = Folder::new();
        let words = ["--input", &database.url(), "--query", query, "--emit", "merge"];
        let mut run = iris(&folder, "");
        run = run.args(words);
        let ran = run.run().exits(0);
        let text = String::from_utf8(ran.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What is written for a value of SQL, byte for byte.
    #[track_caller]
    fn check_value(database: &Database, sql: &str, json: &str) {
        let folder = Folder::new();
        let query = format!("SELECT {FLOWER}, {sql} AS v");
        let words = ["--input", &database.url(), "--query", &query, "--keep", "v"];
        let expected = format!("{{\"v\":{json},\"species\":\"setosa\"}}\n");
        iris(&folder, "").args(words).run().exits(0).writes(&expected);
    }

    #[test]
    fn every_type_has_a_stated_form_in_records() {
        let database = Database::new();
        database
            .run("CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE pair AS (a int, b text)");
        for (sql, json) in [
            ("NULL::int", "null"),
            ("32767::int2", "32767"),
            ("9223372036854775807::int8", "9223372036854775807"),
            (
                "1234567890123456789012345678.0123456789::numeric(38,10)",
                "1234567890123456789012345678.0123456789",
            ),
            ("0.1::float4", "0.1"),
            ("0.1::float8 + 0.2::float8", "0.30000000000000004"),
            ("'NaN'::float8", "\"NaN\""),
            ("'-Infinity'::float8", "\"-Infinity\""),
            ("'NaN'::numeric", "\"NaN\""),
            ("true", "true"),
            ("'a\"\\ü' || chr(10) || chr(1)", r#""a\"\\ü\n\u0001""#),
            ("'ab'::char(4)", "\"ab  \""),
            (r"'\x00ff'::bytea", r#""\\x00ff""#),
            ("'2024-02-29'::date", "\"2024-02-29\""),
            ("'12:30:00.5'::time", "\"12:30:00.5\""),
            ("'2024-02-29 12:30'::timestamp", "\"2024-02-29T12:30:00\""),
            ("'2024-02-29 12:30+02'::timestamptz", "\"2024-02-29T10:30:00+00:00\""),
            ("'infinity'::timestamp", "\"infinity\""),
            ("'1 year 2 days 03:04:05'::interval", "\"P1Y2DT3H4M5S\""),
            (
                "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
                "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"",
            ),
            ("'{\"b\":1,\n\"a\":1.0}'::json", "{\"b\":1, \"a\":1.0}"),
            ("'{\"b\":1,\"a\":1.0}'::jsonb", r#"{"a": 1.0, "b": 1}"#),
            ("'null'::jsonb", "null"),
            ("ARRAY[1,2,NULL]", "[1,2,null]"),
            ("ARRAY[['a'],['b']]", r#"[["a"],["b"]]"#),
            ("'sad'::mood", "\"sad\""),
            ("'[1,5)'::int4range", "\"[1,5)\""),
            ("ROW(1, 'x')::pair", r#"{"a":1,"b":"x"}"#),
            ("'192.168.0.1/24'::inet", "\"192.168.0.1/24\""),
            ("B'101'", "\"101\""),
        ] {
            check_value(&database, sql, json);
        }
    }

    #[test]
    fn every_type_is_written_back_from_its_form() {
        let database = Database::new();
        database.run(
            r#"CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE pair AS (a int, b text);
            CREATE TABLE source (id int, sepal_length float8, sepal_width float8, petal_length real,
                petal_width float8, i2 int2, i8 int8, n numeric(38,10), free numeric, f float8, r real,
                b boolean, t text, v varchar(9), c char(4), y bytea, d date, ti time, ts timestamp,
                tz timestamptz, iv interval, u uuid, j json, jb jsonb, ai int[], at text[][], m mood,
                ir int4range, p pair, ip inet, bits bit(3), "Odd ""Name" text);
            CREATE TABLE target (LIKE source, species text, made timestamptz DEFAULT now());
            INSERT INTO source VALUES
                (1, 4.4, 2.9, 1.4, 0.2, -32768, 9223372036854775807,
                1234567890123456789012345678.0123456789, 1e-40, 0.1, 1e-9, true,
                E'quote " back \\ feed \n\t\r \u00fc \U0001F600 end', 'x', 'ab', '\x00ff', '2024-02-29',
                '23:59:59.999999', '1969-07-20 20:17:40', '2024-02-29 12:30+02', '-1 mon 3 days',
                'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', E'{"b": [1,\n 2]}', '{"b":1.10}', '{1,NULL}',
                '{{a,"b c"},{"\"",NULL}}', 'sad', '[1,5)', '(1,"x, y")', '10.0.0.1', B'101', 'odd'),
                (2, 4.4, 2.9, 1.4, 0.2, NULL, NULL, NULL, 'NaN', 'NaN', '-Infinity', NULL, '', NULL,
                NULL, '', 'infinity', NULL, '-infinity', NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL,
                'empty', NULL, NULL, NULL, NULL)"#,
        );
        let (folder, url) = (Folder::new(), database.url());
        let words = format!("-i {url} --table source -o {url} --output-table target --emit merge");
        iris(&folder, &words).run().exits(0);
        // As texts, since NaN and json are not equal to themselves.
        let differ = |a: &str, b: &str| {
            let text = |t: &str| {
                let t = if t == "target" { "(SELECT * FROM target) x" } else { "source x" };
                format!("SELECT id, i2::text, i8::text, n::text, free::text, f::text, r::text, b, t, v, c,
                    y::text, d::text, ti::text, ts::text, tz::text, iv::text, u::text,
                    replace(j::text, E'\\n', ' '), jb::text, ai::text, at::text, m::text, ir::text,
                    p::text, ip::text, bits::text, \"Odd \"\"Name\" FROM {t}")
            };
            format!("{} EXCEPT {}", text(a), text(b))
        };
        assert_eq!(database.rows(&differ("source", "target")), "");
        assert_eq!(database.rows(&differ("target", "source")), "");
        let counts = "SELECT count(*), count(made), min(species) FROM target";
        assert_eq!(database.rows(counts), "2|2|setosa\n"); // a column that is not written has its default
    }

    #[test]
    fn many_rows_go_in_and_out_in_their_order() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run(&format!(
            "CREATE TABLE flowers AS SELECT i::bigint AS id, {FLOWER} FROM generate_series(1, 100000) i;
             CREATE TABLE scored (place bigserial, id bigint, species text)"
        ));
        let url = database.url();
        for threads in [1, 3] {
            database.run("TRUNCATE scored RESTART IDENTITY");
            let words = format!(
                "-i {url} --table flowers -o {url} --output-table scored --keep id --threads {threads}"
            );
            let ran = iris(&folder, &words).run().exits(0);
            let ran = ran.says("PostgresReader out=100000").says("PostgresWriter in=100000");
            ran.says("100000 records: 100000 written").says_nothing_of(PASSWORD);
            let query = "SELECT count(*), sum((place = id)::int), min(species) FROM scored";
            assert_eq!(database.rows(query), "100000|100000|setosa\n");
        }
        let query = "SELECT * FROM flowers WHERE id % 2 = 0 ORDER BY id DESC";
        let written = read(&database, query);
        assert_eq!((written.len(), &written[0]["id"]), (50_000, &json!(100_000)));
    }

    #[test]
    fn a_row_that_breaks_a_constraint_is_a_reject_and_costs_its_neighbours_nothing() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run(
            "CREATE TABLE species (name text PRIMARY KEY); INSERT INTO species VALUES ('setosa');
             CREATE TABLE scored (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED,
                short varchar(3) NOT NULL, n int CHECK (n > 0), day date,
                species text REFERENCES species DEFERRABLE INITIALLY DEFERRED)",
        );
        let line = |id: u32| {
            let (mut key, mut short, mut n) = (json!(id), json!("abc"), json!(1));
            let (mut day, mut width) = (json!("2024-02-29"), json!(0.2));
            match id {
                0 => n = json!(0),
                500 => short = json!("abcd"),
                501 => short = Value::Null,
                502 => n = json!(1.5),
                503 => day = json!("2023-02-29"),
                1200 => key = json!(7),
                1999 => short = json!("a\0"),
                2500 => width = json!(2.5), // a virginica: not among the species
                _ => {}
            }
            json!({"id": key, "short": short, "n": n, "day": day, "sepal_length": 6.3,
                "sepal_width": 3.3, "petal_length": if id == 2500 { 6.0 } else { 1.4 },
                "petal_width": width})
            .to_string()
                + "\n"
        };
        folder.write("in.json", (0..3000).map(line).collect::<String>());
        let words = format!(
            "-i in.json -o {} --output-table scored --keep id,short,n,day --threads",
            database.url()
        );
        for threads in ["1", "3"] {
            database.run("TRUNCATE scored");
            let ran = iris(&folder, &words).args([threads]).run().exits(1);
            let refused = refused(&ran);
            let expected = [
                (1, "new row for relation \"scored\" violates check constraint \"scored_n_check\""),
                (501, "value too long for type character varying(3)"),
                (502, "null value in column \"short\""),
                (503, "invalid input syntax for type integer: \"1.5\""),
                (504, "date/time field value out of range: \"2023-02-29\""),
                (
                    1201,
                    "duplicate key value violates unique constraint \"scored_id_key\": Key (id)=(7)",
                ),
                (2000, "unsupported Unicode escape sequence"),
                (2501, "insert or update on table \"scored\" violates foreign key constraint"),
            ];
            assert_eq!(refused.len(), expected.len(), "{refused:?}");
            for ((line, message), (expected_line, words)) in refused.iter().zip(expected) {
                assert_eq!(*line, expected_line, "{message}");
                assert!(message.starts_with(words), "{message}");
            }
            let rows = database.rows("SELECT count(*), count(DISTINCT id), sum(n) FROM scored");
            assert_eq!(rows, "2992|2992|2992\n");
        }
    }

    #[test]
    fn a_row_that_refers_to_its_own_table_must_come_behind_what_it_refers_to() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run(
            "CREATE TABLE scored (id bigint PRIMARY KEY, above bigint REFERENCES scored, species text)",
        );
        let line =
            |(id, above): (u32, Value)| flower(id).replace("{", &format!("{{\"above\":{above},"));
        let lines = [(1, json!(2)), (2, Value::Null), (3, json!(2)), (4, json!(1))];
        folder.write("in.json", lines.map(line).concat());
        let url = database.url();
        let words = format!("-i in.json -o {url} --output-table scored --keep id,above");
        let ran = iris(&folder, &words).run().exits(1);
        assert_eq!(refused(&ran).iter().map(|it| it.0).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(database.rows("SELECT id FROM scored"), "2\n3\n");
    }

    #[test]
    fn a_key_that_is_known_is_written_over_and_the_last_one_wins() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run(
            "CREATE TABLE scored (id bigint PRIMARY KEY, n int CHECK (n <> 3), species text,
                note text DEFAULT 'new');
             INSERT INTO scored VALUES (1, 0, 'old', 'old')",
        );
        let line = |(id, n): (u32, u32)| flower(id).replace("{", &format!("{{\"n\":{n},"));
        // The one with 3 is refused, and does not take away what the one before it wrote.
        let lines = [(1, 1), (2, 1), (2, 2), (5, 5), (2, 3), (4, 3), (4, 4)];
        folder.write("in.json", lines.map(line).concat());
        let url = database.url();
        let words = format!("-i in.json -o {url} --output-table scored --keep id,n --upsert id");
        let ran = iris(&folder, &words).run().exits(1);
        assert_eq!(refused(&ran).iter().map(|it| it.0).collect::<Vec<_>>(), [5, 6]);
        let rows = database.rows("SELECT id, n, species, note FROM scored ORDER BY id");
        assert_eq!(rows, "1|1|setosa|old\n2|2|setosa|new\n4|4|setosa|new\n5|5|setosa|new\n");
        let words = words.replace("--upsert id", "--upsert n");
        let ran = iris(&folder, &words).run().exits(3);
        ran.says("no unique or exclusion constraint").says("--upsert needs a unique index");
    }

    #[test]
    fn a_table_is_made_of_the_columns_of_the_output() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run(&format!(
            "CREATE SCHEMA s; CREATE TABLE flowers AS SELECT 7::bigint AS id, true AS ok, 'x'::text AS t,
                ARRAY[1] AS list, {FLOWER}"
        ));
        let url = database.url();
        let words = format!(
            "-i {url} --table public.flowers -o {url} --output-table s.Scored --create-table \
             --emit merge --upsert id"
        );
        iris(&folder, &words).run().exits(0);
        let columns =
            "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
            FROM information_schema.columns WHERE table_name = 'Scored'";
        let expected = "id bigint, ok boolean, t text, list jsonb, sepal_length double precision, \
            sepal_width double precision, petal_length double precision, \
            petal_width double precision, species text\n";
        assert_eq!(database.rows(columns), expected);
        assert_eq!(
            database.rows("SELECT id, ok, list, species FROM s.\"Scored\""),
            "7|t|[1]|setosa\n"
        );
        let ran = iris(&folder, &words).run().exits(3);
        ran.says("\"Scored\" already exists").says("leave out --create-table");
    }

    #[test]
    fn a_run_that_fails_leaves_the_table_as_it_was() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run("CREATE TABLE scored (id bigint CHECK (id < 9000), species text)");
        database.run("INSERT INTO scored VALUES (-1, 'old')");
        folder.write("in.json", flowers(0..10_000));
        let url = database.url();
        let words = format!("-i in.json -o {url} --output-table scored --keep id --max-rejects 0");
        iris(&folder, &words).run().exits(6).says("is as it was");
        let words = format!(
            "-i in.json -o {url} --output-table made --create-table --keep id --max-rejects 0"
        );
        folder.write("in.json", flowers(0..10_000) + "{}\n");
        iris(&folder, &words).run().exits(6);
        assert_eq!(database.rows("SELECT * FROM scored"), "-1|old\n");
        assert_eq!(database.rows("SELECT to_regclass('made') IS NULL"), "t\n");
    }

    #[test]
    fn a_run_that_is_killed_in_the_middle_leaves_the_table_as_it_was() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run("CREATE TABLE scored (id bigint, species text)");
        let words = format!("-i - -o {} --output-table scored --keep id", database.url());
        let mut live = Live::start(&iris(&folder, &words));
        live.write(&flowers(0..20_000));
        eventually("rows are on their way", || {
            database.rows("SELECT pg_relation_size('scored') > 100000") == "t\n"
        });
        drop(live); // kills it
        eventually("the server has seen it", || {
            let sessions = "SELECT count(*) FROM pg_stat_activity
                WHERE application_name = 'etl-host' AND datname = current_database()";
            database.rows(sessions) == "0\n"
        });
        assert_eq!(database.rows("SELECT count(*) FROM scored"), "0\n");
    }

    #[test]
    fn a_server_that_goes_in_the_middle_is_an_error() {
        let (database, folder) = (Database::new(), Folder::new());
        let query = format!(
            "SELECT i AS id, {FLOWER}, CASE WHEN i = 20000 THEN pg_terminate_backend(pg_backend_pid()) END
             FROM generate_series(1, 30000) i"
        );
        let url = database.url();
        let words = ["-i", &url, "-o", "out.json", "--query", &query];
        // The server's last words may not come through.
        let ran = iris(&folder, "").args(words).run().exits(3);
        ran.says("connection").says("can't read on at line").says_nothing_of(PASSWORD);
        assert!(folder.names().is_empty(), "{:?}", folder.names());
        let trigger = "CREATE TABLE scored (id bigint, species text);
            CREATE FUNCTION go() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.id = 5000 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                RETURN NEW; END $$;
            CREATE TRIGGER go BEFORE INSERT ON scored FOR EACH ROW EXECUTE FUNCTION go()";
        database.run(trigger);
        folder.write("in.json", flowers(0..10_000));
        let words = format!("-i in.json -o {url} --output-table scored --keep id");
        iris(&folder, &words).run().exits(3).says("connection").says_nothing_of(PASSWORD);
        assert_eq!(database.rows("SELECT count(*) FROM scored"), "0\n");
    }

    #[test]
    fn what_a_trigger_or_a_policy_refuses_is_a_reject() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run(
            "CREATE TABLE scored (id bigint, species text);
            CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.id = 3 THEN RAISE EXCEPTION 'not the third' USING DETAIL = 'never'; END IF;
                RETURN NEW; END $$;
            CREATE TRIGGER no BEFORE INSERT ON scored FOR EACH ROW EXECUTE FUNCTION no();
            ALTER TABLE scored ENABLE ROW LEVEL SECURITY;
            CREATE POLICY most ON scored USING (true) WITH CHECK (id <> 5);
            DROP ROLE IF EXISTS writer; CREATE ROLE writer LOGIN PASSWORD 'hidden-7Kq';
            GRANT INSERT ON scored TO writer",
        );
        folder.write("in.json", flowers(0..10));
        let url = database.url().replace("etl:", "writer:");
        let words = format!("-i in.json -o {url} --output-table scored --keep id");
        let ran = iris(&folder, &words).run().exits(1);
        let refused = refused(&ran);
        assert_eq!(refused[0], (4, "not the third: never".to_owned()));
        assert!(refused[1].0 == 6 && refused[1].1.contains("row-level security"), "{refused:?}");
        assert_eq!(database.rows("SELECT count(*) FROM scored"), "8\n");
        let words = format!("-i {url} --table scored -o out.json");
        iris(&folder, &words).run().exits(3).says("permission denied for table scored");
    }

    #[test]
    fn what_can_not_be_had_is_said_in_words_before_anything_is_done() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run("CREATE TABLE flowers (id int, species text); CREATE TABLE \"Other\" (x int)");
        let (url, port) = (database.url(), database.port());
        folder.write("in.json", flowers(0..1));
        let read = |url: &str, words: &[&str], said: &str| {
            let ran = iris(&folder, "").args(["-i", url]).args(words.to_vec()).run();
            ran.exits(3).says(said).writes("").says_nothing_of(PASSWORD).says("etl@127.0.0.1")
        };
        read(&url, &["--table", "flower"], "no table `flower`; did you mean `flowers`?");
        read(&url, &["--table", "other"], "no table `other`; did you mean `Other`?");
        read(&url, &["--query", "SELECT id,\n FROM flowers"], "line 2:  FROM flowers\n");
        read(&url, &["--query", "SELECT id FROM flowers; DROP TABLE flowers"], "multiple commands");
        read(&url, &["--query", "SELECT 1 AS a, 2 AS a"], "two columns that are called `a`");
        read(&url, &["--query", "SELECT $1::int"], "has parameters");
        read(&url, &["--query", "DELETE FROM flowers"], "no columns");
        read(&url, &["--query", "DELETE FROM flowers RETURNING id"], "syntax error");
        let other = url.replace(&format!("/{}", url.rsplit('/').next().unwrap()), "/nowhere");
        read(&other, &["--table", "flowers"], "database \"nowhere\" does not exist");
        let wrong = url.replace(PASSWORD, "wrong-9Pw");
        read(&wrong, &["--table", "flowers"], "password authentication failed for user \"etl\"")
            .says_nothing_of("wrong-9Pw");
        let refused = url.replace(&format!(":{port}/"), ":1/");
        read(&refused, &["--table", "flowers"], "onnection refused");

        let writes = |words: &str, said: &str| {
            let words = format!("-i in.json -o {url} {words}");
            let ran = iris(&folder, &words).run().exits(3);
            ran.says(said).says_nothing_of(PASSWORD);
        };
        writes("--output-table flower", "did you mean `flowers`?");
        writes("--output-table Other", "it has no column `species`");
        writes("--output-table flowers --upsert key", "no column `key`, which --upsert names");
        writes("--output-table no.where --create-table", "schema \"no\" does not exist");
        assert_eq!(database.rows("SELECT count(*) FROM flowers"), "0\n");
    }

    /// The port of something that stands before the server and speaks TLS, as servers of PostgreSQL
    /// do: asked for it in the clear, it says yes. Who does not ask is turned away.
    fn behind_tls(port: u16) -> u16 {
        let certificates = root().join("tests/tls");
        let chain = CertificateDer::pem_file_iter(certificates.join("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificates.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = listener.local_addr().unwrap().port();
        let serve = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((mut client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut request = [0; 8];
                    client.read_exact(&mut request).await?;
                    if request != [0, 0, 0, 8, 4, 210, 22, 47] {
                        return Ok(()); // no SSLRequest
                    }
                    client.write_all(b"S").await?;
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                    copy_bidirectional(&mut client, &mut server).await.map(drop)
                });
            }
        };
        thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(serve));
        own
    }

    #[test]
    fn who_asks_for_encryption_gets_it_and_a_server_that_is_known() {
        let (database, folder) = (Database::new(), Folder::new());
        let port = behind_tls(database.port());
        let query = format!("SELECT {FLOWER}");
        let ca = root().join("tests/tls/ca.pem");
        let read = |host: &str, options: &str| {
            let url =
                database.url().replace(&format!(":{}/", database.port()), &format!(":{port}/"));
            let url = url.replace("127.0.0.1", host) + options;
            let words = ["-i", &url, "--query", &query];
            iris(&folder, "").args(words).run().says_nothing_of(PASSWORD)
        };
        let verified = format!("?sslmode=verify-full&sslrootcert={}", ca.display());
        read("localhost", &verified).exits(0).writes("{\"species\":\"setosa\"}\n");
        read("localhost", "").exits(3);
        read("localhost", "?sslmode=require").exits(3).says("certificate");
        read("127.0.0.1", &verified).exits(3).says("not valid for name");
        let none =
            format!("?sslmode=require&sslrootcert={}", folder.path().join("no.pem").display());
        read("localhost", &none).exits(3).says("no.pem");
    }

    #[test]
    fn a_password_may_come_from_the_environment() {
        let (database, folder) = (Database::new(), Folder::new());
        let url = database.url();
        let name = url.rsplit('/').next().unwrap();
        let words = ["-i", "postgres://", "--query", &format!("SELECT {FLOWER}")];
        let run = iris(&folder, "").args(words).env("PGHOST", "127.0.0.1");
        let run = run.env("PGPORT", &database.port().to_string()).env("PGUSER", "etl");
        let run = run.env("PGPASSWORD", PASSWORD).env("PGDATABASE", name);
        run.run().exits(0).writes("{\"species\":\"setosa\"}\n").says_nothing_of(PASSWORD);
    }

    #[test]
    fn a_summary_names_the_database_without_its_password() {
        let (database, folder) = (Database::new(), Folder::new());
        database.run(&format!("CREATE TABLE flowers AS SELECT 1 AS id, {FLOWER}"));
        database.run("CREATE TABLE scored (species text)");
        let url = database.url();
        let words = format!(
            "-i {url} --table flowers -o {url} --output-table scored --summary summary.json"
        );
        iris(&folder, &words).run().exits(0);
        let summary = folder.text("summary.json");
        assert!(summary.contains(&database.shown()) && !summary.contains(PASSWORD), "{summary}");
        assert!(summary.contains("PostgresReader") && summary.contains("PostgresWriter"));
    }

    #[test]
    fn a_row_that_the_model_rejects_is_in_the_rejects_with_its_number() {
        let (database, folder) = (Database::new(), Folder::new());
        let query =
            format!("SELECT {FLOWER} UNION ALL SELECT 1, 2, NULL, 4 UNION ALL SELECT 6,3,6,2");
        let url = database.url();
        let words = ["-i", &url, "--query", &query, "-o", "out.json"];
        iris(&folder, "").args(words).run().exits(1);
        let rejects = rejects(folder.text("out.json.rejects.ldjson"));
        let reject = &rejects[0];
        assert_eq!((&reject["line"], &reject["source"]), (&json!(2), &json!(database.shown())));
        assert!(reject["record"].as_str().unwrap().contains("\"petal_length\":null"), "{reject}");
        assert_eq!(folder.text("out.json").lines().count(), 2);
    }
}

mod sqlite {
    use super::*;

    /// The rows of a query as text.
    fn rows(folder: &Folder, query: &str) -> String {
        let connection = Connection::open(folder.path().join("a.db")).unwrap();
        let mut query = connection.prepare(query).unwrap();
        let count = query.column_count();
        let mut rows = query.query([]).unwrap();
        let mut text = String::new();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..count {
                let value: rusqlite::types::Value = row.get(column).unwrap();
                write!(text, "{value:?} ").unwrap();
            }
            text.push('\n');
        }
        text
    }

    fn run(folder: &Folder, statements: &str) {
        Connection::open(folder.path().join("a.db")).unwrap().execute_batch(statements).unwrap();
    }

    const FLOWERS: &str = "CREATE TABLE flowers (id INTEGER, sepal_length REAL, sepal_width REAL,
        petal_length REAL, petal_width REAL, ok BOOLEAN, doc JSON TEXT, bytes BLOB, big TEXT);
        INSERT INTO flowers VALUES
        (9223372036854775807, 4.4, 2.9, 1.4, 0.2, 1, '{\"a\": [1, 2]}', x'00ff', '123456789012345678901'),
        (2, 6.3, 3.3, 6.0, 2.5, NULL, NULL, NULL, 'line' || char(10) || '\"\\')";

    #[test]
    fn what_is_written_to_a_table_is_what_was_read_from_one() {
        let folder = Folder::new();
        run(&folder, FLOWERS);
        let words = "-i sqlite:a.db --table flowers -o sqlite://a.db --output-table scored \
                     --create-table --emit merge";
        // A file of SQLite has one writer, who does not wait for readers of what was there.
        run(&folder, "PRAGMA journal_mode = wal");
        let ran = iris(&folder, words).run().exits(0);
        ran.says("SqliteReader out=2").says("SqliteWriter in=2");
        let expected = rows(
            &folder,
            "SELECT *, 'setosa' FROM flowers WHERE id > 2
            UNION ALL SELECT *, 'virginica' FROM flowers WHERE id = 2",
        );
        let written = "SELECT id, sepal_length, sepal_width, petal_length, petal_width, ok, doc, \
            iif(bytes IS NULL, NULL, x'00ff'), big, species FROM scored";
        assert_eq!(rows(&folder, written), expected);
        assert_eq!(rows(&folder, "SELECT bytes FROM scored WHERE id > 2"), "Text(\"AP8=\") \n");
        // Into a column that is declared as one, bytes are bytes.
        run(&folder, "CREATE TABLE other AS SELECT * FROM flowers WHERE 0");
        run(
            &folder,
            "ALTER TABLE other ADD COLUMN species TEXT; ALTER TABLE other DROP COLUMN bytes;
            ALTER TABLE other ADD COLUMN bytes BLOB",
        );
        let words =
            "-i sqlite:a.db --table flowers -o sqlite:a.db --output-table other --emit merge";
        iris(&folder, words).run().exits(0);
        assert_eq!(rows(&folder, "SELECT bytes FROM other WHERE id > 2"), "Blob([0, 255]) \n");
    }

    #[test]
    fn many_rows_go_in_and_out_in_their_order() {
        let folder = Folder::new();
        folder.write("in.json", flowers(0..100_000));
        let words = "-i in.json -o sqlite:a.db --output-table scored --create-table --keep id";
        iris(&folder, words).run().exits(0).says("100000 records: 100000 written");
        let sums = "SELECT count(*), sum(rowid = id + 1), min(species) FROM scored";
        assert_eq!(rows(&folder, sums), "Integer(100000) Integer(100000) Text(\"setosa\") \n");
        let query =
            "SELECT s.id, f.* FROM scored s, (SELECT 4.4 AS sepal_length, 2.9 AS sepal_width,
            1.4 AS petal_length, 0.2 AS petal_width) f ORDER BY s.rowid";
        let words = ["-i", "sqlite:a.db", "--query", query, "--keep", "id", "-o", "out.json"];
        iris(&folder, "").args(words).run().exits(0);
        let expected: String =
            (0..100_000).map(|id| format!("{{\"id\":{id},\"species\":\"setosa\"}}\n")).collect();
        assert!(folder.text("out.json") == expected);
    }

    #[test]
    fn a_row_that_is_refused_costs_its_neighbours_nothing() {
        let folder = Folder::new();
        run(&folder, "CREATE TABLE scored (id INTEGER PRIMARY KEY CHECK (id <> 5), species TEXT)");
        let ids = ["1", "2", "2", "5", "\"x\"", "12345678901234567890", "7"];
        folder.write("in.json", ids.map(flower).concat());
        let words = "-i in.json -o sqlite:a.db --output-table scored --keep id";
        let ran = iris(&folder, words).run().exits(1);
        let refused = refused(&ran);
        let expected = [
            (3, "UNIQUE constraint failed: scored.id"),
            (4, "CHECK constraint failed: id <> 5"),
            (5, "datatype mismatch"),
            (6, "12345678901234567890 has more than 64 bits"),
        ];
        assert_eq!(refused.len(), expected.len(), "{refused:?}");
        for ((line, message), (expected_line, words)) in refused.iter().zip(expected) {
            assert!(*line == expected_line && message.starts_with(words), "{line} {message}");
        }
        assert_eq!(
            rows(&folder, "SELECT id FROM scored"),
            "Integer(1) \nInteger(2) \nInteger(7) \n"
        );
        let words = format!("{words} --upsert id");
        folder.write(
            "in.json",
            ["7", "8"]
                .map(flower)
                .concat()
                .replace("4.4", "6.3")
                .replace("1.4", "6.0")
                .replace("0.2", "2.5"),
        );
        iris(&folder, &words).run().exits(0);
        let species = "SELECT id FROM scored WHERE species = 'virginica'";
        assert_eq!(rows(&folder, species), "Integer(7) \nInteger(8) \n");
    }

    #[test]
    fn a_run_that_fails_leaves_the_file_as_it_was() {
        let folder = Folder::new();
        folder.write("in.json", flowers(0..10_000) + "{}\n");
        let words = "-i in.json -o sqlite:a.db --output-table scored --create-table --keep id \
                     --max-rejects 0";
        iris(&folder, words).run().exits(6);
        assert_eq!(folder.names(), ["in.json"]);
        run(&folder, "CREATE TABLE old AS SELECT 1 AS a");
        iris(&folder, words).run().exits(6);
        assert_eq!(rows(&folder, "SELECT name FROM sqlite_schema"), "Text(\"old\") \n");
        folder.write("in.json", flowers(0..10));
        iris(&folder, words).run().exits(0);
        assert_eq!(rows(&folder, "SELECT count(*) FROM scored"), "Integer(10) \n");
    }

    #[test]
    fn a_run_that_is_killed_in_the_middle_leaves_the_table_as_it_was() {
        let folder = Folder::new();
        run(
            &folder,
            "CREATE TABLE scored (id INTEGER, species TEXT); INSERT INTO scored VALUES (-1, 'a')",
        );
        let words = "-i - -o sqlite:a.db --output-table scored --keep id";
        let mut live = Live::start(&iris(&folder, words));
        live.write(&flowers(0..20_000));
        let journal = folder.path().join("a.db-journal");
        eventually("rows are on their way", || journal.exists());
        drop(live); // kills it
        assert_eq!(rows(&folder, "SELECT * FROM scored"), "Integer(-1) Text(\"a\") \n");
    }

    #[test]
    fn what_can_not_be_had_is_said_in_words() {
        let folder = Folder::new();
        run(&folder, FLOWERS);
        folder.write("in.json", flowers(0..1));
        folder.write("text.db", "not a database, but long enough to be taken for one".repeat(100));
        for (words, said) in [
            ("-i sqlite:none.db --table flowers", "No such file"),
            ("-i sqlite:text.db --table flowers", "file is not a database"),
            ("-i sqlite:a.db --table flower", "did you mean `flowers`?"),
            ("-i in.json -o sqlite:none.db --output-table x", "there is no such database"),
            ("-i in.json -o sqlite:a.db --output-table flower", "did you mean `flowers`?"),
            ("-i in.json -o sqlite:a.db --output-table flowers", "no column `species`"),
            ("-i in.json -o sqlite:no/a.db --output-table x --create-table", "unable to open"),
        ] {
            iris(&folder, words).run().exits(3).says(said);
        }
        assert_eq!(folder.names(), ["a.db", "in.json", "text.db"]);
    }
}

#[test]
fn flags_of_databases_are_refused_where_they_mean_nothing() {
    let folder = Folder::new();
    folder.write("in.json", flowers(0..1));
    let database = "postgres://me:hidden-7Kq@127.0.0.1:1/db";
    for (words, said) in [
        ("-i in.json --table x", "--table and --query go with a database"),
        ("-i in.json --output-table x", "--output-table goes with a database"),
        ("-i in.json --create-table", "--output-table"),
        ("-i in.json --upsert x", "--output-table"),
        ("-i DB", "which rows of the database `postgres://me@127.0.0.1:1/db`"),
        ("-i DB --table x --query y", "cannot be used with"),
        ("-i DB --table a.b.c", "no name of a table"),
        ("-i DB --table x --input-format csv", "--input-format says what bytes are"),
        ("-i DB -i sqlite:x --table x", "only one of the inputs"),
        ("-i DB --table x -o out/", "the output is a folder"),
        ("-i DB --table x -o out.json --resume", "--resume can't go on in the rows of a database"),
        ("-i in.json -o DB", "which table of the database"),
        ("-i in.json -o DB --output-table x --output-format csv", "--output-format says"),
        ("-i in.json -o DB --output-table x --state dir", "--state can't go on in a database"),
        ("-i in.json -o out.json --rejects DB", "rejects can't go to a database"),
        ("-i postgres://h/db?sslmode=allow --table x", "sslmode is one of"),
        ("-i postgres://h:port/db --table x", "it is no address of a PostgreSQL database"),
    ] {
        let words = words.replace("DB", database);
        iris(&folder, &words).run().exits(2).says(said).says_nothing_of(PASSWORD);
    }
    assert_eq!(folder.names(), ["in.json"]);
}
