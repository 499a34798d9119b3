//! Pipelines that are broken in one way each: exit code 2, the line, what is wrong, what to do; nothing on
//! stdout, and nothing written. What reads a file has more of these tests of its own, in the host.

use super::{folder, host};
use etl_host_tests::Folder;

/// Each is a file, with `/` for the ends of lines; then the line, what is said, and what is to be done.
const BROKEN: &str = r#"
[sources.in / path='a'
    1 | it is no TOML |
[sources.in] / path='in' / path='in' / [sinks.out] / from='in' / path='out'
    3 | it is no TOML: duplicate key |
[source.in] / path='in' / [sinks.out] / from='in' / path='out'
    1 | there is no table `source` | did you mean `sources`?
[sources.in] / path='in'
    1 | there is no sink | [sinks.NAME] with from = "…" and path = "…"
[sinks.out] / from='in' / path='out'
    1 | there is no source | [sources.NAME] with path = "…"
[sources.in] / pth='in' / [sinks.out] / from='in' / path='out'
    2 | key `sources.in.pth`: there is no such key here | did you mean `path`?
[sources.in] / path=7 / [sinks.out] / from='in' / path='out'
    2 | key `sources.in.path`: a text or a list of texts is wanted, and this is a number | path = "in/flowers.csv"
[sources.in] / path='in' / format='xml' / [sinks.out] / from='in' / path='out'
    3 | key `sources.in.format`: there is no `xml` | known are ldjson
[sources.in] / path='in' / types={a='float'} / [sinks.out] / from='in' / path='out'
    3 | key `sources.in.types` | known are number, integer, boolean, string, json
[sources.in] / path='in' / [sinks.out] / from='inn' / path='out'
    4 | key `sinks.out.from`: there is no node `inn` | did you mean `in`?
[sources.in] / path='in' / [sinks.in] / from='in' / path='out'
    3 | key `sinks.in`: there is another node that is called so | give it one of its own
[sources.in] / path='in' / [sinks.out] / path='out'
    3 | `sinks.out` has no key `from` | from = "NAME"
[sources.in] / path='in' / [sinks.out] / from='in' / path='out' / [sinks.more] / from='in' / path='./out'
    8 | key `sinks.more.path`: `out` writes there already | let `out` take from several
[sources.in] / path='in' / [sinks.out] / from='in' / path='-' / [sinks.more] / from='in' / path='-'
    8 | key `sinks.more.path`: `out` writes to stdout already | let `out` take from several
[sources.in] / path='in' / [steps.a] / type='jg' / from='in' / program='.' / [sinks.out] / from='a' / path='out'
    4 | key `steps.a.type`: there is no type `jg` | did you mean `jq`?
[sources.in] / path='in' / [steps.a] / type='jq' / from='in' / [sinks.out] / from='a' / path='out'
    3 | `steps.a` has no key `program` | program = '{id, name}'
[sources.in] / path='in' / [steps.a] / type='jq' / from='in' / file='none.jq' / [sinks.out] / from='a' / path='out'
    6 | key `steps.a.file`: `none.jq` can't be read: No such file | relative to the folder of the pipeline file
[sources.in] / path='in' / [steps.a] / type='limit' / from='in' / count='${most}' / [sinks.out] / from='a' / path='out'
    6 | key `steps.a.count`: there is no parameter `most` | --set most=…
[sources.in] / path='in' / [steps.a] / type='limit' / from='in' / count=-1 / [sinks.out] / from='a' / path='out'
    6 | key `steps.a.count`: a whole number from 0 | count = 1000
[sources.in] / path='in' / [steps.a] / type='sample' / from='in' / share=10 / [sinks.out] / from='a' / path='out'
    6 | key `steps.a.share`: a number from 0 to 1 is wanted | share = 0.1
[sources.in] / path='in' / [steps.a] / type='block' / from='in' / when='.' / [sinks.out] / from='a' / path='out'
    3 | `steps.a` has no key `reason` | reason = "no predictions in this jurisdiction"
[sources.in] / path='in' / [steps.a] / type='block' / from='in' / when='.' / reason='r' / [sinks.out] / from='a.blocked' / path='out'
    3 | key `steps.a`: leads nowhere: nobody takes the records that it lets pass | from = "a"
[sources.in] / path='in' / [steps.a] / type='place' / from='b' / [steps.b] / type='place' / from='a' / [sinks.out] / from=['a','in'] / path='out'
    5 | key `steps.a.from`: records would go in a circle: a -> b -> a | somewhere else
[sources.in] / path='in' / [steps.a] / type='place' / from='in' / [sinks.out] / from='in' / path='out'
    3 | key `steps.a`: leads nowhere: nobody takes what it gives on | from = "a"
[sources.in] / path='in' / [steps.a] / type='log' / from='in' / [sinks.out] / from='a' / path='out'
    5 | key `steps.a.from`: `in` is no model: only predictions can be logged | there is no step of type `model`
[sources.in] / path='in' / [steps.a] / type='join' / from='in' / [sinks.out] / from='a' / path='out'
    5 | key `steps.a.from`: there is nothing to join | name the branches
[sources.a] / path='in' / [sources.b] / path='in' / [steps.j] / type='join' / from=['a','b'] / [sinks.out] / from='j' / path='out'
    7 | key `steps.j.from`: its branches have no source in common | take from several
[sources.a] / path='in' / [sources.b] / path='in' / [sinks.x] / from=['a','b'] / path='x' / [sinks.y] / from=['b','a'] / path='y'
    9 | there is no order of the sources that suits all | name them in the same order everywhere
[sources.a] / path='-' / [sources.b] / path='-' / [sinks.x] / from=['a','b'] / path='x'
    4 | key `sources.b.path`: `a` reads stdin already | what was read once is gone
[sources.in] / path='in' / [sinks.out] / from='in' / path='out' / [run] / on_error='stop'
    7 | key `run.on_error`: there is no `stop` | known are reject, fail
[sources.in] / path='in' / [sinks.out] / from='in' / path='out' / [run] / max_rejects='some'
    7 | key `run.max_rejects`: it can't be `some` | max_rejects = "0.5%"
[params] / day=1 / [sources.in] / path='in-${dya}' / [sinks.out] / from='in' / path='out'
    4 | key `sources.in.path`: there is no parameter `dya` | did you mean `day`?
[sources.in] / path='in' / [sinks.out] / from='in' / path='out' / [[test]] / name='t' / input.inn=[] / rejects=[]
    8 | key `test.input.inn`: there is no such source | did you mean `in`?
[sources.in] / path='in' / [sinks.out] / from='in' / path='out' / [[test]] / name='t' / input.in=[] / expect.oout=[]
    9 | key `test.expect.oout`: there is no such node | did you mean `out`?
"#;

/// What it is refused with, by each command that reads it.
fn check_refused(folder: &Folder, text: &str, what: &[&str], hint: &str) -> Result<(), String> {
    let names = folder.names();
    for command in ["run", "validate", "test", "graph"] {
        let ran = host(folder, command, "").run();
        let said = String::from_utf8_lossy(&ran.stderr);
        let hint = if hint.is_empty() { String::new() } else { format!("\n  hint: {hint}") };
        let (begin, rest) = hint.split_at(hint.find(": ").map_or(0, |at| at + 2));
        let has_hint = said.split_once(begin).is_some_and(|(_, hint)| hint.contains(rest));
        let is_told = what.iter().all(|what| said.contains(what)) && has_hint;
        if ran.code != Some(2) || !ran.stdout.is_empty() || !is_told || folder.names() != names {
            return Err(format!("{command}: code {:?} of\n{text}\n--- {said}\n", ran.code));
        }
    }
    Ok(())
}

#[test]
fn a_broken_pipeline_is_refused_with_its_line_and_a_remedy() {
    let lines: Vec<&str> = BROKEN.trim().lines().collect();
    assert!(lines.len() / 2 >= 30, "{}", lines.len());
    let mut faults = String::new();
    for case in lines.chunks(2) {
        let [text, told] = case else { panic!("{case:?}") };
        let text = text.replace(" / ", "\n");
        let [line, message, hint] =
            told.split('|').map(str::trim).collect::<Vec<_>>().try_into().expect(told);
        let folder = folder(&text);
        folder.write("in", "{}\n");
        let line = format!("error: pipeline file `p.toml`, line {line}: ");
        if let Err(fault) = check_refused(&folder, &text, &[&line, message], hint) {
            faults += &fault;
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// Files that can be read, and steps in them that can't be made.
#[test]
fn a_step_that_can_not_be_made_is_refused_before_anything_is_read() {
    let refused = |step: &str, message: &str| {
        let text = format!(
            "[sources.in]\npath = \"in\"\n[steps.it]\nfrom = \"in\"\n{step}\n[sinks.out]\nfrom = \"it\"\npath = \"out\"\n"
        );
        let folder = folder(&text);
        folder.write("in", "{}\n");
        folder.write("table.csv", "a,b\n1,2\n");
        folder.write("no.json", "{");
        let names = folder.names();
        for command in ["run", "validate"] {
            let ran = host(&folder, command, "").run().exits(2).writes("");
            ran.says("error: pipeline file `p.toml`, line 3: key `steps.it").says(message);
            assert_eq!(folder.names(), names);
        }
    };
    refused(
        "type = \"jq\"\nprogram = '.a | foo'",
        "line 1, column 6 of the program: there is no function `foo/0`",
    );
    refused("type = \"jq\"\nprogram = '{a: }'", "line 1, column 5 of the program");
    refused("type = \"jq\"\nprogram = 'now'", "there is no `now`");
    refused(
        "type = \"block\"\nwhen = '$a'\nreason = 'r'",
        "there is no variable `$a`; `$params` is there",
    );
    refused("type = \"validate\"\nschema = \"no.json\"", "the schema `no.json` is no JSON");
    refused("type = \"lookup\"\npath = \"table.csv\"\non = \"c\"", "`c`");
    refused("type = \"lookup\"\npath = \"table.csv\"\non = \"a\"\ncolumns = [\"x\"]", "`x`");
}

#[test]
fn what_was_set_is_in_no_message() {
    let folder = folder(
        "[sources.in]\npath = \"in\"\n[sinks.out]\nfrom = \"in\"\nformat = \"${format}\"\npath = \"out\"\n[run]\nthreads = \"${threads:-1}\"\n",
    );
    folder.write("in", "{}\n");
    for words in
        ["--set format=hush", "--set format=csv --set threads=hush", "--set format=csv --set hush"]
    {
        let ran = host(&folder, "run", words).env("format", "hush").run().exits(2).writes("");
        match words.ends_with("--set hush") {
            true => ran.says("expected NAME=VALUE"),
            false => ran.says("p.toml`, line ").says_nothing_of("hush"),
        };
    }
    host(&folder, "run", "")
        .env("format", "hush")
        .run()
        .exits(2)
        .says("`${format}`")
        .says_nothing_of("hush");
}
