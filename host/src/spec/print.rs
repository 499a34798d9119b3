//! A pipeline as the text of a file that means the same.
//!
//! What is as it would be without a key is left out. A password in a location is left out as well, and so
//! is a parameter of jq that somebody gave from outside of the file; a comment says so: then the text is to
//! be completed before it is run. All other `${…}` stand there as what they were given.

use super::file::keys::TYPES;
use super::{
    BlockSpec, JqSpec, LogSpec, LookupSpec, ModelSpec, NoMatch, Node, Records, SampleSpec, Several,
    SinkSpec, SourceSpec, Spec, StepSpec, TestSpec,
};
use crate::columns::{Column, Kind};
use crate::format::Compression;
use crate::isolation::{Options, size_text};
use crate::pipeline::limits::MaxRejects;
use crate::spec::LINE_BYTES_MAX_USUAL;
use crate::step::emit::Emit;
use crate::storage::database::Selection;
use crate::storage::location::Location;
use crate::storage::names::TableName;
use crate::toml_text::escaped;
use crate::{sink, source};
use serde::Serialize;
use serde_json::{Map, Value};
use std::ffi::OsStr;
use toml::ser::ValueSerializer;

/// The text of a file, with these comments before it. Paths in it are relative to the folder that it is
/// printed in.
pub fn print(spec: &Spec, comments: &[String]) -> String {
    let mut page = Page::default();
    comments.iter().for_each(|comment| page.comment(comment));
    for Node { name, what, .. } in &spec.sources {
        page.table(&format!("[sources.{name}]"));
        source(&mut page, what);
    }
    for node in &spec.steps {
        page.table(&format!("[steps.{}]", node.name));
        step(&mut page, node);
    }
    for node in &spec.sinks {
        page.table(&format!("[sinks.{}]", node.name));
        from(&mut page, node);
        sink(&mut page, &node.what);
    }
    run(&mut page, spec);
    spec.tests.iter().for_each(|it| test(&mut page, it));
    page.text
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn table(&mut self, header: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text += header;
        self.text.push('\n');
    }

    fn comment(&mut self, text: &str) {
        self.text += &format!("# {text}\n");
    }

    fn key(&mut self, name: &str, value: impl Serialize) {
        let mut written = String::new();
        value
            .serialize(ValueSerializer::new(&mut written))
            .expect("all that is written has a form in TOML");
        self.text += &format!("{name} = {written}\n");
    }

    /// A text in which a `${` is no parameter.
    fn text(&mut self, name: &str, text: &str) {
        self.key(name, escaped(text));
    }

    /// A list of such texts, where there is one in it.
    fn list(&mut self, name: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.key(name, texts.iter().map(|text| escaped(text)).collect::<Vec<_>>());
        }
    }

    /// True, where it is.
    fn flag(&mut self, name: &str, flag: bool) {
        if flag {
            self.key(name, true);
        }
    }

    /// A path or another location, without its secrets.
    fn location(&mut self, name: &str, location: &OsStr) {
        let text = self.shown(location);
        self.text(name, &text);
    }

    fn shown(&mut self, location: &OsStr) -> String {
        let Some(text) = location.to_str() else {
            self.comment("this path is not UTF-8, and so can't stand in this file as it is");
            return location.to_string_lossy().into_owned();
        };
        let Location::Remote(remote) = Location::of(location) else { return text.to_owned() };
        let shown = remote.to_string();
        if shown.len() == remote.whole().len() {
            return text.to_owned();
        }
        self.comment("what may be a password or a token is left out here: have it in a file of");
        self.comment("services, or in the environment, ${NAME}");
        shown
    }
}

fn from<T>(page: &mut Page, node: &Node<T>) {
    match &node.from[..] {
        [one] => page.key("from", one.to_string()),
        ports => page.key("from", ports.iter().map(ToString::to_string).collect::<Vec<_>>()),
    }
}

fn source(page: &mut Page, source: &SourceSpec) {
    records(page, &source.records);
    reading(page, source);
    if source.line_bytes_max != LINE_BYTES_MAX_USUAL {
        page.key("line_bytes_max", source.line_bytes_max);
    }
}

fn records(page: &mut Page, records: &Records) {
    match records {
        Records::One(record) => page.text("record", record),
        Records::Rejects(path) => {
            page.location("path", path);
            page.key("rejects", true);
        }
        Records::Inputs(inputs) => match &inputs[..] {
            [one] => page.location("path", one),
            several => {
                let shown: Vec<String> = several.iter().map(|path| page.shown(path)).collect();
                page.list("path", &shown);
            }
        },
    }
}

fn reading(page: &mut Page, source: &SourceSpec) {
    let SourceSpec { format, csv, selection, types: columns, .. } = source;
    let usual = source::csv::Options::default();
    if let Some(format) = format {
        page.key("format", format.name());
    }
    if let Some(delimiter) = csv.delimiter {
        page.key("delimiter", character(delimiter));
    }
    if csv.quote != usual.quote {
        page.key("quote", csv.quote.map_or_else(|| "none".to_owned(), character));
    }
    if let Some(fields) = &csv.fields {
        page.list("fields", fields);
    }
    page.flag("header", csv.has_header);
    if csv.null_value != usual.null_value {
        page.text("null_value", &csv.null_value);
    }
    types(page, columns);
    match selection {
        None => {}
        Some(Selection::Table(name)) => page.text("table", &table_name(name)),
        Some(Selection::Query(query)) => page.text("query", query),
    }
}

/// The types that have a name.
fn types<'a>(page: &mut Page, columns: impl IntoIterator<Item = &'a Column>) {
    let named = columns.into_iter().filter_map(|Column { name, kind }| {
        let (known, _) = TYPES.iter().find(|(_, known)| known == kind)?;
        Some((name.clone(), Value::from(*known)))
    });
    let named: Map<String, Value> = named.collect();
    if !named.is_empty() {
        page.key("types", named);
    }
}

fn character(byte: u8) -> String {
    if byte == b'\t' { "tab".to_owned() } else { char::from(byte).into() }
}

/// A name as it can be read again.
fn table_name(name: &TableName) -> String {
    let shown = name.to_string();
    let is_plain = shown.parse::<TableName>().is_ok_and(|read| read == *name);
    if is_plain { shown } else { name.sql() }
}

fn step(page: &mut Page, node: &Node<StepSpec>) {
    let name = match &node.what {
        StepSpec::Model(_) => "model",
        StepSpec::Jq(_) => "jq",
        StepSpec::Block(_) => "block",
        StepSpec::Log(_) => "log",
        StepSpec::Limit(_) => "limit",
        StepSpec::Skip(_) => "skip",
        StepSpec::Sample(_) => "sample",
        StepSpec::Validate(_) => "validate",
        StepSpec::Lookup(_) => "lookup",
        StepSpec::Join => "join",
        StepSpec::Place => "place",
    };
    page.key("type", name);
    from(page, node);
    match &node.what {
        StepSpec::Model(it) => model(page, it),
        StepSpec::Jq(it) => jq(page, "program", it),
        StepSpec::Block(BlockSpec { when, reason, emit: mode }) => {
            jq(page, "when", when);
            page.text("reason", reason);
            emit(page, mode);
        }
        StepSpec::Log(LogSpec { id, sample: share, trace }) => {
            if let Some(id) = id {
                page.text("id", id);
            }
            if let Some(SampleSpec { share, seed }) = share {
                page.key("sample.share", share);
                page.key("sample.seed", seed);
            }
            page.flag("trace", *trace);
        }
        StepSpec::Limit(count) | StepSpec::Skip(count) => page.key("count", count),
        StepSpec::Sample(SampleSpec { share, seed }) => {
            page.key("share", share);
            page.key("seed", seed);
        }
        StepSpec::Validate(it) => page.location("schema", it.schema.as_os_str()),
        StepSpec::Lookup(it) => lookup(page, it),
        StepSpec::Join | StepSpec::Place => {}
    }
}

fn model(page: &mut Page, model: &ModelSpec) {
    if let Some(plugin) = &model.plugin {
        page.location("plugin", plugin.as_os_str());
    }
    if let Some(folder) = &model.plugin_dir {
        page.location("plugin_dir", folder.as_os_str());
    }
    if let Some(selector) = &model.model {
        page.text("model", &selector.to_string());
    }
    match &model.config_file {
        Some(file) => page.location("config_file", file.as_os_str()),
        None if model.config == "{}" => {}
        None => page.text("config", &model.config),
    }
    emit(page, &model.emit);
    page.flag("validate_output", model.validates_output);
    if let Some(threads) = model.threads {
        page.key("threads", threads);
    }
    if let Some(options) = &model.isolation {
        isolation(page, options);
    }
}

fn isolation(page: &mut Page, options: &Options) {
    let Options { workers, memory_bytes_max, timeout, crashes_max, sandbox, may_read } = options;
    let usual = Options::default();
    page.flag("isolate", true);
    if let Some(workers) = workers {
        page.key("workers", workers);
    }
    if let Some(bytes) = memory_bytes_max {
        page.key("max_memory", size_text(*bytes));
    }
    if *timeout != usual.timeout {
        page.key("timeout", timeout.map_or(0.0, |timeout| timeout.as_secs_f64()));
    }
    if *crashes_max != usual.crashes_max {
        page.key("max_crashes", crashes_max);
    }
    if *sandbox != usual.sandbox {
        page.key("sandbox", sandbox.to_string());
    }
    let may_read: Vec<_> = may_read.iter().map(|path| page.shown(path.as_os_str())).collect();
    page.list("allow_read", &may_read);
}

fn emit(page: &mut Page, emit: &Emit) {
    match emit {
        Emit::Prediction => {}
        Emit::Keep(fields) => page.list("keep", fields),
        Emit::Merge => page.key("emit", "merge"),
        Emit::Nest => page.key("emit", "nest"),
    }
}

/// The program stands for this key. In it there are no parameters.
fn jq(page: &mut Page, key: &str, JqSpec { program, file, params, given }: &JqSpec) {
    match file {
        Some(file) => page.location("file", file.as_os_str()),
        None => page.key(key, program),
    }
    let mut written = params.clone();
    written.retain(|name, _| !given.contains(name));
    for name in given {
        page.comment(&format!(
            "$params.{name} was given by --set or the environment, and may be a secret:"
        ));
        page.comment("it is left out here, and to be written below");
    }
    if !written.is_empty() {
        page.key("params", all_escaped(&written));
    }
}

fn all_escaped(object: &Map<String, Value>) -> Value {
    fn value(it: &Value) -> Value {
        match it {
            Value::String(text) => escaped(text).into(),
            Value::Array(list) => list.iter().map(value).collect(),
            Value::Object(object) => all_escaped(object),
            other => other.clone(),
        }
    }
    // TOML has no null, and jq's `$params` gives one for what is missing.
    let there = object.iter().filter(|(_, it)| !it.is_null());
    there.map(|(name, it)| (name.clone(), value(it))).collect()
}

fn lookup(page: &mut Page, lookup: &LookupSpec) {
    records(page, &lookup.table.records);
    reading(page, &lookup.table);
    page.text("on", &lookup.on);
    if lookup.key != lookup.on {
        page.text("key", &lookup.key);
    }
    if let Some(into) = &lookup.into {
        page.text("into", into);
    }
    page.list("columns", &lookup.columns);
    match lookup.missing {
        NoMatch::Reject => {}
        NoMatch::Null => page.key("missing", "null"),
    }
    match lookup.several {
        Several::Reject => {}
        Several::Null => page.key("several", "null"),
        Several::First => page.key("several", "first"),
    }
}

fn sink(page: &mut Page, sink: &SinkSpec) {
    let SinkSpec { output, format, compression, csv, columns, table, creates_table, upsert } = sink;
    let usual = sink::csv::Options::default();
    page.location("path", output.as_deref().unwrap_or(OsStr::new("-")));
    if let Some(format) = format {
        page.key("format", format.name());
    }
    if let Some(compression) = compression {
        page.key("compression", compression.map_or("none", Compression::name));
    }
    if let Some(delimiter) = csv.delimiter {
        page.key("delimiter", character(delimiter));
    }
    if !csv.has_header {
        page.key("header", false);
    }
    if csv.null_value != usual.null_value {
        page.text("null_value", &csv.null_value);
    }
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    page.list("columns", &names);
    types(page, columns.iter().filter(|column| column.kind != Kind::Json));
    if let Some(table) = table {
        page.text("table", &table_name(table));
    }
    page.flag("create_table", *creates_table);
    page.list("upsert", upsert);
}

fn run(page: &mut Page, spec: &Spec) {
    let Spec { rejects, fails_at_first, max_rejects, threads, services, .. } = spec;
    let is_usual = rejects.is_none() && max_rejects.is_none() && threads.is_none();
    if is_usual && !fails_at_first && services.is_none() {
        return;
    }
    page.table("[run]");
    if let Some(rejects) = rejects {
        page.location("rejects", rejects);
    }
    if *fails_at_first {
        page.key("on_error", "fail");
    }
    match max_rejects {
        None => {}
        Some(MaxRejects::Count(count)) => page.key("max_rejects", count),
        Some(MaxRejects::Percent(percent)) => page.key("max_rejects", format!("{percent}%")),
    }
    if let Some(threads) = threads {
        page.key("threads", threads);
    }
    if let Some(services) = services {
        page.location("services", services.as_os_str());
    }
}

/// Records are written as JSON texts: they may hold null, which TOML has not.
fn test(page: &mut Page, test: &TestSpec) {
    page.table("[[test]]");
    page.text("name", &test.name);
    for (source, records) in &test.input {
        let records: Vec<String> = records.iter().map(|record| escaped(record)).collect();
        page.key(&format!("input.{source}"), records);
    }
    for (port, records) in &test.expect {
        let records: Vec<String> = records.iter().map(|it| escaped(&it.to_string())).collect();
        page.key(&format!("expect.\"{port}\""), records);
    }
    let Some(rejects) = &test.rejects else { return };
    let rejects = rejects.iter().map(|reject| {
        let mut table = Map::new();
        table.insert("node".to_owned(), reject.node.clone().into());
        if let Some(kind) = &reject.kind {
            table.insert("kind".to_owned(), escaped(kind).into());
        }
        if !reject.message.is_empty() {
            table.insert("message".to_owned(), escaped(&reject.message).into());
        }
        Value::Object(table)
    });
    page.key("rejects", rejects.collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::file::tests::EVERYTHING;
    use crate::spec::file::{Settings, parse};
    use std::path::Path;

    #[track_caller]
    fn read(text: &str) -> Spec {
        let settings = Settings { set: Default::default(), variables: &|_| None };
        parse(text, Path::new(""), &settings).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
    }

    #[track_caller]
    fn comes_back(spec: &Spec) {
        let text = print(spec, &[]);
        let told = |spec: Spec| format!("{:#?}", Spec { lines: Default::default(), ..spec });
        assert_eq!(told(read(&text)), told(spec.clone()), "{text}");
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        comes_back(&read(EVERYTHING));
        let program = "# a program\n.a == \"$${x}\" and '''${y}'''\n";
        let mut spec = read(
            "[sources.in]\npath='in'\n[steps.x]\ntype='jq'\nfrom='in'\nprogram='.'\n\
             params={a='$${b}'}\n[sinks.out]\nfrom='x'\npath='$${a}'\n",
        );
        let StepSpec::Jq(jq) = &mut spec.steps[0].what else { panic!() };
        jq.program = program.to_owned();
        assert_eq!(jq.params["a"], "${b}");
        spec.sources[0].what.selection = Some(Selection::Table("\"a.b\".c".parse().unwrap()));
        spec.sources[0].what.csv.quote = Some(b'\'');
        spec.max_rejects = Some(MaxRejects::Count(u64::MAX));
        comes_back(&spec);
    }

    #[test]
    fn the_smallest_one_is_a_few_lines() {
        let text = "[sources.in]\npath = \"in.json\"\n\n\
            [steps.iris]\ntype = \"model\"\nfrom = \"in\"\nplugin = \"lib.so\"\n\n\
            [sinks.out]\nfrom = \"iris\"\npath = \"-\"\n";
        assert_eq!(print(&read(text), &[]), text);
    }

    #[test]
    fn a_config_or_a_program_that_is_in_a_file_stays_there() {
        let mut spec = read(
            "[sources.in]\npath='in'\n[sinks.out]\nfrom='y'\npath='out'\n\
             [steps.x]\ntype='model'\nfrom='in'\nplugin='x.so'\nconfig='{\"a\":1}'\n\
             [steps.y]\ntype='jq'\nfrom='x'\nprogram='.a'\n",
        );
        assert!(print(&spec, &[]).contains("\nprogram = \".a\"\n"));
        let StepSpec::Jq(jq) = &mut spec.steps[1].what else { panic!() };
        jq.file = Some("a.jq".into());
        let text = print(&spec, &[]);
        assert!(text.contains("\nfile = \"a.jq\"\n") && !text.contains("program"), "{text}");
        assert!(print(&spec, &[]).contains("\nconfig = '{\"a\":1}'\n"));
        let StepSpec::Model(model) = &mut spec.steps[0].what else { panic!() };
        model.config_file = Some("model.json".into());
        let text = print(&spec, &[]);
        assert!(text.contains("\nconfig_file = \"model.json\"\n") && !text.contains("{"), "{text}");
    }

    #[test]
    fn no_parameter_of_jq_is_printed_that_was_given_from_outside() {
        let text = "[params]\nlist=['a']\ntok='x'\nown='x'\nplain=1\nmade='${tok}!'\n\
            [sources.in]\npath='in'\n[sinks.out]\nfrom='x'\npath='out'\n\
            [steps.x]\ntype='jq'\nfrom='in'\nprogram='.'\nparams={own='y',deep={a=['${TOK}']}}\n";
        let set = [("list", "[\"hush\",null]"), ("own", "hush")];
        let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = |name: &str| name.eq_ignore_ascii_case("tok").then(|| "hush".to_owned());
        let settings = Settings { set: set.into(), variables: &variables };
        let spec = parse(text, Path::new(""), &settings).unwrap();
        let StepSpec::Jq(jq) = &spec.steps[0].what else { panic!() };
        assert_eq!(jq.params["made"], "hush!");
        let printed = print(&spec, &["first".to_owned()]);
        assert!(printed.starts_with("# first\n\n[sources.in]\n"), "{printed}");
        assert!(!printed.contains("hush"), "{printed}");
        for name in ["list", "tok", "made", "deep"] {
            assert!(printed.contains(&format!("# $params.{name} was given")), "{printed}");
        }
        let StepSpec::Jq(jq) = read(&printed).steps.remove(0).what else { panic!() };
        assert_eq!(Value::Object(jq.params), serde_json::json!({ "own": "y", "plain": 1 }));
    }

    #[test]
    fn no_password_is_printed() {
        let mut spec = read("[sources.in]\npath='in'\n[sinks.out]\nfrom='in'\npath='out'\n");
        let inputs = ["postgres://me:hush@host/db", "S3://bucket/key", "sqlite:a.db"];
        spec.sources[0].what.records = Records::Inputs(inputs.iter().map(Into::into).collect());
        spec.sinks[0].what.output = Some("https://host/x?sig=hush".into());
        let text = print(&spec, &[]);
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("# services, or in the environment, ${NAME}\npath = [\"postgres://me@host/db\", \"S3://bucket/key\", \"sqlite:a.db\"]"), "{text}");
        assert_eq!(text.matches("# what may be a password").count(), 2);
        read(&text);
    }
}
