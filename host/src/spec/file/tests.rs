//! Files that are right, and files that are wrong in every way.

use super::*;
use crate::columns::{Column, Kind};
use crate::format::{Compression, Format};
use crate::isolation;
use crate::sandbox::Mode;
use crate::spec::{Records, StepSpec};
use crate::step::emit::Emit;
use crate::storage::database::Selection;
use serde_json::json;
use std::time::Duration;

mod broken;
mod page;

fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hush".to_owned()),
        "DIR" => Some("data".to_owned()),
        "COUNT" => Some("12".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn with(set: &[(&str, &str)]) -> Settings<'static> {
    let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Settings { set, variables: &environment }
}

#[track_caller]
fn read(text: &str, set: &[(&str, &str)]) -> Spec {
    parse(text, Path::new("/p"), &with(set)).unwrap()
}

/// The smallest pipeline, and something before it.
fn small(before: &str) -> String {
    format!("{before}\n[sources.in]\npath='in.json'\n[sinks.out]\nfrom='in'\npath='out.json'\n")
}

pub(in crate::spec) const EVERYTHING: &str = r#"
# What is scored at night.
[params]
day = "2026-11-27"
threshold = 5

[sources.flowers]
path = ["in/${day}.csv", "in/more-*.csv"]
format = "csv"
delimiter = ";"
quote = "none"
fields = ["id", "country", "sl"]
header = true
null_value = "NA"
types = { id = "integer", sl = "number" }
line_bytes_max = 1_000

[sources.again]
path = "out/rejects.ldjson"
rejects = true

[sources.one]
record = '{"id": 12345678901234567890}'

[sources.orders]
path = "sqlite:shop.db"
query = "SELECT * FROM orders"

[sources.customers]
path = "postgres://db/shop"
table = 'sales."the customers"'

[steps.allowed]
type = "block"
from = "flowers"
when = '.country == "FR"'
reason = "no predictions in this jurisdiction"
keep = ["id", "country"]

[steps.shape]
type = "jq"
from = ["allowed", "again", "one", "orders", "customers"]
program = '{sepal_length: .sl} | select(.sepal_length > $params.threshold) # ${day}'
params = { a = 1, nested = { list = [1, 2.5, true, "x"] } }

[steps.known]
type = "lookup"
from = "shape"
path = "countries.csv"
format = "csv"
on = "country"
key = "code"
into = "country_row"
columns = ["region"]
missing = "null"
several = "first"

[steps.score]
type = "model"
from = "known"
plugin = "lib/libiris_model.so"
model = "iris_model@0.1"
config = { threshold = 5 }
emit = "merge"
validate_output = true
threads = 2

[steps.other]
type = "model"
from = "shape"
plugin_dir = "plugins"
model = "other"
config = '{"a":null}'
keep = ["id"]
isolate = true
workers = 3
max_memory = "2GiB"
timeout = 1.5
max_crashes = 7
sandbox = "require"
allow_read = ["shared"]

[steps.audit]
type = "log"
from = "score"
id = "request_id"
sample = { share = 0.1, seed = 7 }
trace = true

[steps.first]
type = "limit"
from = "score"
count = 1000

[steps.later]
type = "skip"
from = "first"
count = 10

[steps.some]
type = "sample"
from = "later"
share = 1

[steps.sound]
type = "validate"
from = "some"
schema = "flower.schema.json"

[steps.both]
type = "join"
from = ["sound", "other"]

[steps.where]
type = "place"
from = "both"

[sinks.out]
from = ["where", "allowed.blocked"]
path = "out/${day}"
format = "csv"
compression = "zstd"
delimiter = "tab"
header = false
null_value = "NULL"
columns = ["id", "name", "country"]
types = { name = "string", id = "integer" }

[sinks.table]
from = "where"
path = "sqlite:out.db"
table = "scores"
create_table = true
upsert = ["id"]

[sinks.plain]
from = "where"
path = "s3://bucket/key"
compression = "none"

[sinks.log]
from = "audit"
path = "-"

[run]
rejects = "out/all.rejects"
on_error = "fail"
max_rejects = "0.5%"
threads = 4
services = "services.toml"

[[test]]
name = "what is blocked is not scored"
input.flowers = [{ id = 1, country = "FR" }, '{"id": 2']
input.one = []
expect.allowed.blocked = [{ id = 1, country = "FR", blocked = "allowed" }]
expect."out" = ['{"id": null}']
rejects = [{ node = "flowers", kind = "invalid_json" }, { node = "score", message = "sl" }]

[[test]]
name = "nothing is rejected"
input.flowers = []
rejects = []
"#;

#[test]
fn a_file_may_say_all_this() {
    let spec = read(EVERYTHING, &[]);
    assert!(spec.is_named);
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(" ");
    let sources = names(spec.sources.iter().map(|node| &node.name).collect());
    assert_eq!(sources, "flowers again one orders customers");
    let [flowers, again, one, orders, customers] = &spec.sources[..] else { panic!() };
    let flowers = &flowers.what;
    let Records::Inputs(inputs) = &flowers.records else { panic!() };
    assert_eq!(inputs[..], ["/p/in/2026-11-27.csv", "/p/in/more-*.csv"]);
    assert_eq!(flowers.format, Some(Format::Csv));
    assert_eq!((flowers.csv.delimiter, flowers.csv.quote), (Some(b';'), None));
    assert_eq!(flowers.csv.fields.as_ref().unwrap()[..], ["id", "country", "sl"]);
    assert!(flowers.csv.has_header && flowers.csv.null_value == "NA");
    assert_eq!(flowers.line_bytes_max, 1000);
    let types: Vec<_> = flowers.types.iter().map(|it| (&it.name[..], &it.kind)).collect();
    assert_eq!(types, [("id", &Kind::Integer), ("sl", &Kind::Number)]);
    let is = |records: &Records, expected: &str| assert_eq!(format!("{records:?}"), expected);
    is(&again.what.records, r#"Rejects("/p/out/rejects.ldjson")"#);
    is(&one.what.records, r#"One("{\"id\": 12345678901234567890}")"#);
    is(&orders.what.records, r#"Inputs(["sqlite:/p/shop.db"])"#);
    assert!(matches!(&orders.what.selection, Some(Selection::Query(query)) if query.len() == 20));
    is(&customers.what.records, r#"Inputs(["postgres://db/shop"])"#);
    assert!(matches!(&customers.what.selection, Some(Selection::Table(name))
        if name.parts() == (Some("sales"), "the customers")));

    let steps = names(spec.steps.iter().map(|node| &node.name).collect());
    assert_eq!(steps, "allowed shape known score other audit first later some sound both where");
    let step = |name: &str| &spec.steps.iter().find(|node| node.name == name).unwrap().what;
    let StepSpec::Block(block) = step("allowed") else { panic!() };
    assert_eq!(block.when.program, r#".country == "FR""#);
    assert_eq!(block.reason, "no predictions in this jurisdiction");
    assert_eq!(block.emit, Emit::Keep(vec!["id".to_owned(), "country".to_owned()]));
    let StepSpec::Jq(shape) = step("shape") else { panic!() };
    assert!(shape.program.ends_with("# ${day}"));
    let nested = json!({ "list": [1, 2.5, true, "x"] });
    let params = json!({ "day": "2026-11-27", "threshold": 5, "a": 1, "nested": nested });
    assert_eq!(json!(shape.params), params);
    let StepSpec::Lookup(known) = step("known") else { panic!() };
    let expected = r#"Inputs(["/p/countries.csv"]) "country" "code" Some("country_row") ["region"] Null First"#;
    let (table, on, key, into) = (&known.table.records, &known.on, &known.key, &known.into);
    let told = format!("{table:?} {on:?} {key:?} {into:?} {:?} ", known.columns);
    assert_eq!(told + &format!("{:?} {:?}", known.missing, known.several), expected);
    let StepSpec::Model(score) = step("score") else { panic!() };
    assert_eq!(score.plugin.as_deref(), Some(Path::new("/p/lib/libiris_model.so")));
    assert_eq!(score.model.as_ref().unwrap().to_string(), "iris_model@0.1");
    assert_eq!((&score.config[..], &score.emit), (r#"{"threshold":5}"#, &Emit::Merge));
    assert!(score.validates_output && score.threads == Some(2));
    let StepSpec::Model(other) = step("other") else { panic!() };
    assert_eq!(other.plugin_dir.as_deref(), Some(Path::new("/p/plugins")));
    assert_eq!((&other.config[..], &other.emit), (r#"{"a":null}"#, &Emit::Keep(vec!["id".into()])));
    let timeout = Some(Duration::from_millis(1500));
    let memory_bytes_max = Some(2 << 30);
    let (sandbox, may_read) = (Mode::Require, vec!["/p/shared".into()]);
    let (workers, crashes_max) = (Some(3), 7);
    let kept =
        isolation::Options { workers, memory_bytes_max, timeout, crashes_max, sandbox, may_read };
    assert_eq!(other.isolation, Some(kept));
    let StepSpec::Log(log) = step("audit") else { panic!() };
    let sample = log.sample.unwrap();
    assert_eq!((log.id.as_deref(), sample.share, sample.seed), (Some("request_id"), 0.1, 7));
    assert!(log.trace);
    assert!(matches!(step("first"), StepSpec::Limit(1000)));
    assert!(matches!(step("later"), StepSpec::Skip(10)));
    assert!(matches!(step("some"), StepSpec::Sample(sample) if sample.share == 1.0));
    assert!(
        matches!(step("sound"), StepSpec::Validate(it) if it.schema.ends_with("p/flower.schema.json"))
    );
    assert!(matches!(step("both"), StepSpec::Join) && matches!(step("where"), StepSpec::Place));

    let sinks = names(spec.sinks.iter().map(|node| &node.name).collect());
    assert_eq!(sinks, "log out table plain");
    let [log, out, table, plain] = &spec.sinks[..] else { panic!() };
    assert_eq!(log.what.output, None);
    let from: Vec<String> = out.from.iter().map(Port::to_string).collect();
    assert_eq!(from, ["where", "allowed.blocked"]);
    assert_eq!(out.what.output.as_ref().unwrap(), "/p/out/2026-11-27");
    assert_eq!(out.what.format, Some(Format::Csv));
    assert_eq!(out.what.compression, Some(Some(Compression::Zstd)));
    assert_eq!((out.what.csv.delimiter, out.what.csv.has_header), (Some(b'\t'), false));
    assert_eq!(out.what.csv.null_value, "NULL");
    let columns = [("id", Kind::Integer), ("name", Kind::String), ("country", Kind::Json)];
    let column = |(name, kind): (&str, Kind)| Column { name: name.to_owned(), kind };
    assert_eq!(out.what.columns, columns.map(column));
    assert_eq!(table.what.output.as_ref().unwrap(), "sqlite:/p/out.db");
    assert!(table.what.creates_table && table.what.upsert == ["id"]);
    assert_eq!(table.what.table.as_ref().unwrap().sql(), "\"scores\"");
    assert_eq!(plain.what.output.as_ref().unwrap(), "s3://bucket/key");
    assert_eq!(plain.what.compression, Some(None));

    assert_eq!(spec.rejects.unwrap(), "/p/out/all.rejects");
    assert_eq!(spec.max_rejects, Some(MaxRejects::Percent(0.5)));
    assert!(spec.fails_at_first && spec.threads == Some(4));
    assert_eq!(spec.services.as_deref(), Some(Path::new("/p/services.toml")));

    let [blocked, nothing] = &spec.tests[..] else { panic!() };
    assert_eq!(blocked.name, "what is blocked is not scored");
    let flowers = vec![r#"{"country":"FR","id":1}"#.to_owned(), r#"{"id": 2"#.to_owned()];
    assert_eq!(blocked.input, [("flowers".to_owned(), flowers), ("one".to_owned(), vec![])]);
    let expected: Vec<(String, _)> =
        blocked.expect.iter().map(|(port, records)| (port.to_string(), json!(records))).collect();
    let held_back = json!([{ "id": 1, "country": "FR", "blocked": "allowed" }]);
    let out = ("out".to_owned(), json!([{ "id": null }]));
    assert_eq!(expected, [("allowed.blocked".to_owned(), held_back), out]);
    let rejects = format!("{:?}", blocked.rejects.as_ref().unwrap());
    assert!(rejects.contains(r#"node: "flowers", kind: Some("invalid_json"), message: """#));
    assert!(rejects.contains(r#"node: "score", kind: None, message: "sl""#));
    assert_eq!((nothing.rejects.as_deref(), nothing.expect.len()), (Some(&[][..]), 0));
}

#[test]
fn a_parameter_is_what_is_set_or_in_the_environment_or_the_default_or_the_one_in_the_text() {
    let path = |params: &str, path: &str, set: &[(&str, &str)]| {
        let text = format!(
            "[params]\n{params}\n[sources.in]\npath='in'\n[sinks.out]\nfrom='in'\npath='{path}'"
        );
        read(&text, set).sinks[0].what.output.clone().unwrap().into_string().unwrap()
    };
    for (params, text, set, expected) in [
        ("", "${DIR}", &[][..], "/p/data"),
        ("", "${DIR}", &[("DIR", "set")], "/p/set"),
        ("DIR='default'", "${DIR}", &[], "/p/data"),
        ("DIR='default'", "${DIR}", &[("DIR", "set")], "/p/set"),
        ("dir='default'", "${dir:-inline}", &[], "/p/default"),
        ("", "${dir:-inline}/${DIR:-inline}", &[], "/p/inline/data"),
        ("", "${dir:-inline}/", &[("dir", "")], "/"),
        ("EMPTY='default'", "${EMPTY}", &[], "/p/default"),
        ("", "${EMPTY:-inline}-${EMPTY}", &[], "/p/inline-"),
        ("n=5\nyes=true\nx=2.50", "${n}-${yes}-${x}", &[("n", "6")], "/p/6-true-2.5"),
        ("day=2026-11-27", "${day}", &[], "/p/2026-11-27"),
        ("a='${DIR}/a'\nb='${a}/b'", "${b}", &[], "/p/data/a/b"),
        ("", "$${DIR}$5$$", &[], "/p/${DIR}$5$$"),
        ("", "/absolute/${DIR}", &[], "/absolute/data"),
        ("", "s3://b/${DIR}", &[], "s3://b/data"),
        ("", "lake://${DIR}", &[], "lake://data"),
        ("", "sqlite:/a.db", &[], "sqlite:/a.db"),
        ("", "sqlite://a.db", &[], "sqlite:/p/a.db"),
        ("", "file:///a", &[], "file:///a"),
        ("", "../a", &[], "/p/../a"),
    ] {
        assert_eq!(path(params, text, set), expected, "{params}, {text}");
    }
}

#[test]
fn numbers_and_flags_may_be_parameters_too() {
    let text = "[params]\nmost=3\nshare=0.5\ntrace=true\n[sources.in]\npath='a'\n\
        line_bytes_max='${bytes:-99}'\n\
        [steps.a]\ntype='limit'\nfrom='in'\ncount='${most}'\n\
        [steps.b]\ntype='sample'\nfrom='a'\nshare='${share}'\nseed='${COUNT}'\n\
        [sinks.out]\nfrom='b'\npath='b'\nheader='${header:-false}'\nformat='${format:-tsv}'\n\
        [run]\nmax_rejects='${rejects:-7}'";
    let spec = read(text, &[("most", "4")]);
    assert_eq!(spec.sources[0].what.line_bytes_max, 99);
    assert!(matches!(spec.steps[0].what, StepSpec::Limit(4)));
    assert!(matches!(spec.steps[1].what, StepSpec::Sample(it) if it.share == 0.5 && it.seed == 12));
    assert!(!spec.sinks[0].what.csv.has_header);
    assert_eq!(spec.sinks[0].what.format, Some(Format::Tsv));
    assert_eq!(spec.max_rejects, Some(MaxRejects::Count(7)));
}

#[test]
fn jq_is_given_parameters_of_the_type_that_their_default_has() {
    let params = |set: &[(&str, &str)]| {
        let text = small(
            "[params]\ntext='5'\nwhole=5\nyes=false\nlist=['a']\n[params.table]\na=1\n\
             [steps.x]\ntype='jq'\nfrom='in'\nprogram='.'\nparams={own='${text}',whole=6}\n\
             [sinks.x2]\nfrom='x'\npath='x'",
        );
        let StepSpec::Jq(jq) = read(&text, set).steps.remove(0).what else { panic!() };
        serde_json::Value::Object(jq.params)
    };
    assert_eq!(
        params(&[]),
        json!({ "text": "5", "own": "5", "whole": 6, "yes": false, "list": ["a"], "table": { "a": 1 } })
    );
    let set = [("text", "7"), ("yes", "true"), ("list", "[\"b\",2]"), ("table", "{}")];
    assert_eq!(
        params(&set),
        json!({ "text": "7", "own": "7", "whole": 6, "yes": true, "list": ["b", 2], "table": {} })
    );
}

#[test]
fn programs_and_configs_may_be_in_files_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("shape.jq", "{a: \"${b}\"}\n");
    write("rule.jq", ".a > 5");
    write("model.json", "{\"a\": [1] }");
    write("wrong.json", "{hush}");
    let text = |config: &str| {
        small(&format!(
            "[steps.x]\ntype='jq'\nfrom='in'\nfile='shape.jq'\n\
             [steps.y]\ntype='block'\nfrom='x'\nfile='${{name}}.jq'\nreason='r'\n\
             [steps.z]\ntype='model'\nfrom='y'\nplugin='x.so'\nconfig_file='{config}'\n\
             [sinks.z2]\nfrom='z'\npath='z'"
        ))
    };
    write("p.toml", &text("model.json"));
    let read = |set: &[(&str, &str)]| super::read(&folder.path().join("p.toml"), &with(set));
    let spec = read(&[("name", "rule")]).unwrap();
    let [StepSpec::Jq(jq), StepSpec::Block(block), StepSpec::Model(model)] =
        [&spec.steps[0].what, &spec.steps[1].what, &spec.steps[2].what]
    else {
        panic!()
    };
    let told = [&jq.program[..], &block.when.program, &model.config];
    assert_eq!(told, ["{a: \"${b}\"}\n", ".a > 5", "{\"a\": [1] }"]);

    let error = read(&[("name", "hush")]).unwrap_err();
    assert!(error.message.contains("p.toml`, line 8: key `steps.y.file`: `${name}.jq` can't be"));
    assert!(!format!("{error:?}").contains("hush"));
    write("p.toml", &text("wrong.json"));
    let error = read(&[("name", "rule")]).unwrap_err();
    assert!(error.message.contains("key `steps.z.config_file`: it is not JSON"));
    assert!(!format!("{error:?}").contains("hush"));
    let error = super::read(&folder.path().join("no.toml"), &with(&[])).unwrap_err();
    assert!(
        error.message.ends_with("no.toml` can't be read: No such file or directory (os error 2)")
    );
}

#[test]
fn the_name_of_a_folder_is_no_glob() {
    let text = "[sources.in]\npath=['*.csv','a.csv','s3://b/*']\n[sinks.out]\nfrom='in'\npath='b'";
    let spec = parse(text, Path::new("/a[b]"), &with(&[])).unwrap();
    let Records::Inputs(inputs) = &spec.sources[0].what.records else { panic!() };
    assert_eq!(inputs[..], ["/a[[]b[]]/*.csv", "/a[b]/a.csv", "s3://b/*"]);
}

#[test]
fn a_setting_is_a_name_and_a_value() {
    assert_eq!(setting("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    assert_eq!(setting("a="), Ok(("a".to_owned(), String::new())));
    assert!(setting("a").is_err() && setting("=b").is_err());
}
