//! What can be known of records before the first is read: models that ask for what never comes to them,
//! and tables of which nobody knows the columns, are refused by `validate` and by a run.

use super::{folder, host};
use etl_host_tests::Folder;

const FLOWERS: &str =
    "sepal_length,sepal_width,petal_length,petal_width,country\n5.0,3.2,1.2,0.2,NL\n";
/// Without the last measure.
const THREE: &str = "sepal_length,sepal_width,petal_length\n5.0,3.2,1.2\n";
const RECORD: &str = r#"{"id": 1, "sepal_length": 5.0, "sepal_width": 3.2, "petal_length": 1.2, "petal_width": 0.2}"#;

/// Steps of which the last, `end`, goes to the output; what they take is `flowers`, of CSV, `three`, of CSV
/// without a measure, or `records`, of LDJSON. Each of these goes elsewhere too.
fn job(steps: &str, sink: &str) -> Folder {
    let sources = ["flowers", "three"].map(|name| {
        format!("[sources.{name}]\npath = \"{name}.csv\"\n[sinks.{name}-too]\nfrom = \"{name}\"\npath = \"{name}.ldjson\"\n")
    });
    let records = "[sources.records]\npath = \"records.ldjson\"\n[sinks.records-too]\nfrom = \"records\"\npath = \"records-too.ldjson\"\n";
    let model = "type = \"model\"\nplugin = \"${PLUGINS}/libiris_model.so\"";
    let steps = steps.replace("IRIS", model);
    let sink = format!("[sinks.out]\nfrom = \"end\"\n{sink}\n");
    let folder = folder(&[&sources.concat(), records, &steps, "\n", &sink].concat());
    folder.write("flowers.csv", FLOWERS);
    folder.write("three.csv", THREE);
    folder.write("records.ldjson", RECORD);
    folder.write("countries.csv", "country,sepal_length\nNL,long\n");
    folder
}

/// Both refuse it, with these words, and write nothing.
#[track_caller]
fn check_refused(steps: &str, sink: &str, message: &str, hint: &str) {
    let folder = job(steps, sink);
    let names = folder.names();
    for command in ["validate", "run"] {
        let ran = host(&folder, command, "").run().exits(2).writes("");
        ran.says(message).says(&format!("\n  hint: {hint}"));
        assert_eq!(folder.names(), names);
    }
}

#[track_caller]
fn check_fits(steps: &str, sink: &str) {
    let folder = job(steps, sink);
    let ran = host(&folder, "validate", "").run().exits(0);
    assert!(String::from_utf8_lossy(&ran.stdout).contains("p.toml: it can run: 3 sources"));
    host(&folder, "run", "").run().exits(0).writes("");
}

const LDJSON: &str = "path = \"out.ldjson\"";
const CSV: &str = "path = \"out.csv\"";
const JQ: &str = "a jq step before it can make what it asks for";

#[test]
fn a_model_that_asks_for_a_field_that_never_comes_is_refused() {
    let missing = |from: &str, field: &str, has: &str| {
        format!(
            "error: `end` can't be: the model asks for the field `{field}`, and what comes from {from} has only {has}"
        )
    };
    for (steps, message) in [
        // A table without that column.
        (
            "[steps.end]\nIRIS\nfrom = \"three\"",
            missing("`three`", "petal_width", "`sepal_length`, `sepal_width`, `petal_length`\n"),
        ),
        // However it comes from there.
        (
            "[steps.a]\ntype = \"limit\"\nfrom = \"three\"\ncount = 1\n[steps.b]\ntype = \"sample\"\nfrom = \"a\"\nshare = 1\n[steps.end]\nIRIS\nfrom = \"b\"",
            missing("`b`", "petal_width", "`sepal_length`, "),
        ),
        // A prediction, which is no flower.
        (
            "[steps.a]\nIRIS\nfrom = \"flowers\"\n[steps.end]\nIRIS\nfrom = \"a\"",
            missing("`a`", "petal_length", "`species`\n"),
        ),
        (
            "[steps.a]\nIRIS\nfrom = \"flowers\"\nkeep = [\"petal_length\"]\n[steps.end]\nIRIS\nfrom = \"a\"",
            missing("`a`", "petal_width", "`petal_length`, `species`\n"),
        ),
        // Both, in fields of their own.
        (
            "[steps.a]\nIRIS\nfrom = \"flowers\"\nemit = \"nest\"\n[steps.end]\nIRIS\nfrom = \"a\"",
            missing("`a`", "petal_length", "`input`, `prediction`\n"),
        ),
        (
            "[steps.a]\nIRIS\nfrom = \"records\"\n[steps.b]\ntype = \"join\"\nfrom = [\"records\", \"a\"]\n[steps.end]\nIRIS\nfrom = \"b\"",
            missing("`b`", "petal_length", "`records`, `a`\n"),
        ),
        (
            "[steps.a]\ntype = \"place\"\nfrom = \"records\"\n[steps.end]\nIRIS\nfrom = \"a\"",
            missing("`a`", "petal_length", "`source`, `line`, `byte`, `output`\n"),
        ),
        // What a rule held back.
        (
            "[steps.a]\ntype = \"block\"\nfrom = \"records\"\nwhen = \"true\"\nreason = \"r\"\n[sinks.a-too]\nfrom = \"a\"\npath = \"a.ldjson\"\n[steps.end]\nIRIS\nfrom = \"a.blocked\"",
            missing("`a.blocked`", "petal_length", "`blocked`, `reason`\n"),
        ),
        // A log record.
        (
            "[steps.a]\nIRIS\nfrom = \"records\"\n[sinks.a-too]\nfrom = \"a\"\npath = \"a.ldjson\"\n[steps.b]\ntype = \"log\"\nfrom = \"a\"\n[steps.end]\nIRIS\nfrom = \"b\"",
            missing("`b`", "petal_length", "`id`, `time`, `model`, "),
        ),
    ] {
        check_refused(steps, LDJSON, &message, JQ);
    }
}

#[test]
fn a_model_that_asks_for_another_type_is_refused() {
    let differs = "error: `end` can't be: the model asks for a number in the field `petal_length`, and what comes from";
    // A step may see it in between, so that the schema does not say how its text is read.
    let steps = "[steps.a]\ntype = \"lookup\"\nfrom = \"flowers\"\npath = \"countries.csv\"\non = \"country\"\ninto = \"row\"\n[steps.end]\nIRIS\nfrom = \"a\"";
    check_refused(steps, LDJSON, &format!("{differs} `a` has a text\n"), JQ);
}

#[test]
fn a_model_whose_fields_would_stand_twice_is_refused() {
    let steps = "[steps.end]\ntype = \"model\"\nplugin = \"${PLUGINS}/libmisbehaving.so\"\nmodel = \"clash\"\nfrom = \"records\"\nemit = \"merge\"";
    let message = "error: what `end` gives on can't be joined: the field `n` is in the record and in the prediction";
    let hint = "emit = \"nest\" keeps the record and the prediction apart";
    check_refused(steps, LDJSON, message, hint);
}

/// Which fields a record has beside those that are known, only the record tells.
#[test]
fn a_first_record_whose_fields_would_stand_twice_is_told() {
    let steps = |emit: &str| {
        format!(
            "[steps.a]\nIRIS\nfrom = \"records\"\nemit = \"merge\"\n[steps.end]\nIRIS\nfrom = \"a\"\n{emit}"
        )
    };
    let folder = job(&steps("emit = \"merge\""), LDJSON);
    let ran = host(&folder, "validate", "").run().exits(1);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("`end` rejects that record: field_clash: "), "{said}");
    // Which are kept, the pipeline tells.
    let message =
        "error: what `end` gives on can't be joined: the field `species` is in the record";
    let hint = "emit = \"nest\" keeps the record and the prediction apart";
    check_refused(&steps("keep = [\"species\"]"), LDJSON, message, hint);
}

#[test]
fn a_table_of_which_nobody_knows_the_columns_is_refused() {
    let steps = "[steps.end]\ntype = \"jq\"\nfrom = \"records\"\nprogram = \".\"";
    let message = "error: which columns has the output of `out`? csv has some, and nothing is known of what comes to it";
    check_refused(steps, CSV, message, "name them: sinks.out.columns = [\"a\", \"b\"]\n");
    let steps = "[steps.end]\ntype = \"limit\"\nfrom = \"records\"\ncount = 1";
    let table = "path = \"sqlite:out.db\"\ntable = \"t\"\ncreate_table = true";
    let message = message.replace("csv has", "a table has");
    check_refused(steps, table, &message, "name them: sinks.out.columns = [\"a\", \"b\"]\n");
}

#[test]
fn what_fits_or_may_fit_is_run() {
    for steps in [
        "[steps.end]\nIRIS\nfrom = \"flowers\"",
        "[steps.end]\nIRIS\nfrom = \"records\"",
        // Nobody knows what a program makes.
        "[steps.a]\ntype = \"jq\"\nfrom = \"three\"\nprogram = \".petal_width = 0.2 | map_values(tonumber)\"\n[steps.end]\nIRIS\nfrom = \"a\"",
        // The record goes on beside the prediction.
        "[steps.a]\nIRIS\nfrom = \"flowers\"\nemit = \"merge\"\n[steps.end]\nIRIS\nfrom = \"a\"",
        "[steps.a]\ntype = \"block\"\nfrom = \"flowers\"\nwhen = \"true\"\nreason = \"r\"\nemit = \"merge\"\n[sinks.a-too]\nfrom = \"a\"\npath = \"a.ldjson\"\n[steps.b]\ntype = \"jq\"\nfrom = \"a.blocked\"\nprogram = \"map_values(tonumber? // .)\"\n[steps.end]\nIRIS\nfrom = \"b\"",
        // Some of what comes has it.
        "[steps.a]\ntype = \"jq\"\nfrom = \"three\"\nprogram = \"empty\"\n[steps.end]\nIRIS\nfrom = [\"a\", \"records\"]",
    ] {
        check_fits(steps, LDJSON);
    }
    let keep = "[steps.a]\ntype = \"jq\"\nfrom = \"records\"\nprogram = \".\"\n[steps.end]\nIRIS\nfrom = \"a\"\nkeep = [\"id\"]";
    check_fits(keep, CSV);
    let program = "[steps.end]\ntype = \"jq\"\nfrom = \"records\"\nprogram = \"{id}\"";
    check_fits(program, "path = \"out.csv\"\ncolumns = [\"id\"]");
}
