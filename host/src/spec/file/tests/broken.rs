//! Files that are wrong, and what is said of each.

use super::*;

/// Two lines a case: the file, with ` / ` for a line feed; then the line of the fault, what is told of
/// it, and behind `=>` what is to be done.
const WHOLE: &str = "
[sources.in
    1: it is no TOML: =>
[sources.in] / path='a' / path='hush'
    3: it is no TOML: duplicate key =>
path='a'
    1: key `path`: it stands in no table => known are params, sources
[sourcse.in] / path='a'
    1: there is no table `sourcse` => did you mean `sources`?
[sources] / path='a'
    2: key `sources.path`: it stands in no table with a name => [sources.NAME]
[[sources]] / path='a'
    1: key `sources`: a table is wanted, and this is a list => [sources.NAME]
run=1
    1: key `run`: a table is wanted, and this is a number => [run]
params=1
    1: key `params`: a table is wanted, and this is a number => [params]
# nothing
    1: there is no source => [sources.NAME]
[sources.in] / path='a'
    1: there is no sink => [sinks.NAME]
[sinks.out] / from='in' / path='a'
    1: there is no source => [sources.NAME]
[sources.in] / path='a' / [sinks.out] / path='a'
    3: `sinks.out` has no key `from` => from = \"NAME\"
[sources.in] / path='a' / [sinks.out] / path='a' / from=[]
    5: key `sinks.out.from`: it takes from nobody => known are in
[sources.in] / path='a' / [sinks.out] / path='a' / from='inn'
    5: key `sinks.out.from`: there is no node `inn` => did you mean `in`?
[sources.in] / path='a' / [sinks.out] / path='a' / from='${SECRET}'
    5: key `sinks.out.from`: there is no node `${SECRET}` => no place for parameters
[sources.in] / path='a' / [sinks.out] / from='in.blokced' / path='b'
    4: key `sinks.out.from`: `in` gives nothing called `blokced` => NAME.blocked
[sources.in] / path='a' / [sinks.in] / from='in' / path='b'
    3: key `sinks.in`: there is another node that is called so => share their names
[sources.'a b'] / path='a' / [sinks.out] / from='a b' / path='b'
    1: key `sources.a b`: no node can be called `a b` => a letter, then
[sources.in] / path='-' / [sinks.out] / from='in'
    3: `sinks.out` has no key `path` => path =
[params] / a='${b}' / b='x' / [sources.in] / path='-' / [sinks.out] / from='in' / path='-'
    2: key `params.a`: there is no parameter `b` => those that stand above
[params] / a-b=1
    2: no parameter can be called `a-b` => a letter or `_`
[params] / SECRET=1
    2: key `params.SECRET`: the environment gives it what is no number => give it a number
[params] / a=nan
    2: key `params.a`: JSON has no such number =>
[params] / a=99999999999999999999
    2: key `params.a`: the number has more than 64 bits =>
";

/// These are in a file that is right but for them.
const PARTS: &str = "
[sources.in] / format='csv'
    1: `sources.in` has no key `path` => path = \"in/flowers.csv\"
[sources.in] / path='a' / fromat='csv'
    3: key `sources.in.fromat`: there is no such key here => did you mean `format`?
[sources.in] / path='a' / format='cvs'
    3: key `sources.in.format`: there is no `cvs` => did you mean `csv`?
[sources.in] / path='a' / format='${SECRET}'
    3: key `sources.in.format`: there is no `${SECRET}` => known are ldjson, json-array
[sources.in] / path='a' / format=1
    3: key `sources.in.format`: a text is wanted, and this is a number => known are
[sources.in] / path=5
    2: key `sources.in.path`: a text or a list of texts is wanted, and this is a number => path =
[sources.in] / path=['a', 5]
    2: key `sources.in.path`: a text or a list of texts is wanted => path =
[sources.in] / path=[]
    2: key `sources.in.path`: there is none in it => path =
[sources.in] / path=['a','b'] / rejects=true
    2: key `sources.in.path`: there can be only one rejects file => a source for each
[sources.in] / path='a' / record='{}'
    3: key `sources.in.record`: there can't be `path` too => leave one
[sources.in] / record='{}' / rejects=true
    2: key `sources.in.record`: there can't be `rejects` too => in no file
[sources.in] / path='a' / rejects='yes'
    3: key `sources.in.rejects`: true or false is wanted, and this is a text => rejects = true
[sources.in] / path='a' / rejects='${SECRET}'
    3: key `sources.in.rejects`: it can't be `${SECRET}`: true or false is wanted => rejects = true
[sources.in] / path='a' / delimiter='ab'
    3: key `sources.in.delimiter`: it can't be `ab`: one ASCII character => delimiter =
[sources.in] / path='a' / quote='${SECRET}'
    3: key `sources.in.quote`: it can't be `${SECRET}`: one ASCII character => quote =
[sources.in] / path='a' / fields=['a','a']
    3: key `sources.in.fields`: two columns are named `a` => once
[sources.in] / path='a' / fields=['${SECRET}','${SECRET}']
    3: key `sources.in.fields`: two columns have the same name => once
[sources.in] / path='a' / header=true
    3: key `sources.in.header`: it goes with `fields` => always
[sources.in] / path='a' / table='t' / query='q'
    4: key `sources.in.query`: there can't be `table` too => leave one
[sources.in] / path='a' / table='a.b.c'
    3: key `sources.in.table`: it can't be `a.b.c`: no name of a table => table =
[sources.in] / path='a' / line_bytes_max=0
    3: key `sources.in.line_bytes_max`: a whole number from 1 to 1073741824 is wanted => line_bytes_max =
[sources.in] / path='a' / line_bytes_max='${SECRET}'
    3: key `sources.in.line_bytes_max`: it can't be `${SECRET}`: a whole number =>
[sources.in] / path='a' / line_bytes_max=1.5
    3: key `sources.in.line_bytes_max`: a whole number is wanted, and this is another =>
[sources.in] / path='a' / types={a='nubmer'}
    3: key `sources.in.types`: the column `a` has no type that is known => known are number
[sinks.x] / from='end' / path='x' / columns=['a'] / types={b='number'}
    5: key `sinks.x.types`: there is no column `b` => in `columns` too
[sources.in] / path='a' / from='end'
    3: key `sources.in.from`: there is no such key here => known are path
[sources.in] / path='${unknown}'
    2: key `sources.in.path`: there is no parameter `unknown` => --set unknown=…
[sources.in] / path='a' / format='${'
    3: key `sources.in.format`: a `${` has no `}` => `$${`
[sources.in] / path='a'
    1: key `sources.in`: leads nowhere: nobody takes its records => from = \"in\"
[steps.x] / from='end'
    1: `steps.x` has no key `type` => one of model, jq, block
[steps.x] / type='modle' / from='end'
    2: key `steps.x.type`: there is no type `modle` => did you mean `model`?
[steps.x] / type=5 / from='end'
    2: key `steps.x.type`: a type of step is wanted => known are model
[steps.x] / type='jq' / from='end'
    1: `steps.x` has no key `program` => program =
[steps.x] / type='jq' / program='.'
    1: `steps.x` has no key `from` => from = \"NAME\"
[steps.x] / type='jq' / from='end' / program='.' / file='/dev/null'
    5: key `steps.x.file`: there can't be `program` too => leave one
[steps.x] / type='jq' / from='end' / file='no.jq'
    4: key `steps.x.file`: `/p/no.jq` can't be read: No such file => relative to the folder
[steps.x] / type='jq' / from='end' / program='.' / params=5
    5: key `steps.x.params`: a table is wanted, and this is a number => params = {
[steps.x] / type='jq' / from='end' / when='.'
    4: key `steps.x.when`: there is no such key here => it is one of steps of type `block`; known are
[steps.x] / type='block' / from='end' / when='.'
    1: `steps.x` has no key `reason` => reason =
[steps.x] / type='block' / from='end' / reason='r'
    1: `steps.x` has no key `when` => when =
[steps.x] / type='block' / from='end' / reason='r' / when='.' / emit='prediction'
    6: key `steps.x.emit`: there is no `prediction` => known are merge, nest
[steps.x] / type='block' / from='end' / reason='r' / when='.' / emit='nest' / keep=['id']
    7: key `steps.x.keep`: it does not go with such an `emit` => leave one
[steps.x] / type='model' / from='end'
    1: `steps.x` has no key `plugin` => plugin =
[steps.x] / type='model' / from='end' / plugin='a' / plugin_dir='b'
    5: key `steps.x.plugin_dir`: there can't be `plugin` too => leave one
[steps.x] / type='model' / from='end' / plugin='a' / config='{'
    5: key `steps.x.config`: it is not JSON: EOF => config =
[steps.x] / type='model' / from='end' / plugin='a' / config={} / config_file='b'
    6: key `steps.x.config_file`: there can't be `config` too => leave one
[steps.x] / type='model' / from='end' / model='${SECRET}@x'
    4: key `steps.x.model`: it can't be `${SECRET}@x`: NAME, NAME@0 => model =
[steps.x] / type='model' / from='end' / plugin='a' / threads=0
    5: key `steps.x.threads`: a whole number from 1 to 1024 => threads = 2
[steps.x] / type='model' / from='end' / plugin='a' / workers=2
    5: key `steps.x.workers`: it goes with `isolate` only => isolate = true
[steps.x] / type='model' / from='end' / plugin='a' / isolate=true / max_memory='much'
    6: key `steps.x.max_memory`: it can't be `much`: a size such as 512MiB => max_memory =
[steps.x] / type='model' / from='end' / plugin='a' / isolate=true / timeout=-1
    6: key `steps.x.timeout`: a number from 0 to 86400 => timeout = 10
[steps.x] / type='limit' / from='end'
    1: `steps.x` has no key `count` => count = 1000
[steps.x] / type='limit' / from='end' / count=-1
    4: key `steps.x.count`: a whole number from 0 on is wanted => count = 1000
[steps.x] / type='sample' / from='end' / share=10
    4: key `steps.x.share`: a number from 0 to 1 is wanted => share = 0.1
[steps.x] / type='log' / from='end' / sample={seed=1}
    4: `steps.x.sample` has no key `share` => share = 0.1
[steps.x] / type='log' / from='end' / sample={share=1,sed=1}
    4: key `steps.x.sample.sed`: there is no such key => did you mean `seed`?
[steps.x] / type='lookup' / from='end' / path='a'
    1: `steps.x` has no key `on` => on =
[steps.x] / type='lookup' / from='end' / path='a' / on='b' / missing='nul'
    6: key `steps.x.missing`: there is no `nul` => did you mean `null`?
[steps.x] / type='validate' / from='end' / scheme='s'
    4: key `steps.x.scheme`: there is no such key => did you mean `schema`?
[steps.x] / type='place' / from='end' / count=1
    4: key `steps.x.count`: there is no such key => of steps of type `limit`
[steps.x] / type='place' / from='end2'
    3: key `steps.x.from`: `end2` is a sink, which gives nothing on => from = \"end\"
[steps.x] / type='place' / from='end'
    1: key `steps.x`: leads nowhere: nobody takes what it gives on => from = \"x\"
[steps.x] / type='place' / from='x'
    3: key `steps.x.from`: records would go in a circle: x -> x => somewhere else
[sinks.x] / from='end' / path='x' / columns=['a']
    4: key `sinks.x.columns`: ldjson has no columns => a step of type `jq`
[sinks.x] / from='end' / path='x.csv' / columns=['a','a']
    4: key `sinks.x.columns`: two columns have the same name => once
[sinks.x] / from='end' / path='sqlite:x' / table='t' / compression='gzip'
    5: key `sinks.x.compression`: a table of a database has none => out
[sinks.x] / from='end' / path='${none:-}'
    3: key `sinks.x.path`: `${none:-}` is empty => path =
[sources.x] / path=['a',''] / [sinks.x2] / from='x' / path='b'
    2: key `sources.x.path`: it is empty => path =
[sinks.x] / from='end' / path='x' / compression='gz'
    4: key `sinks.x.compression`: there is no `gz` => did you mean `gzip`?
[sinks.x] / from='end' / path='x' / create_table=true
    4: key `sinks.x.create_table`: it goes with `table` => table =
[sinks.x] / from='end' / path='x' / upsert=['a']
    4: key `sinks.x.upsert`: it goes with `table` => table =
[sinks.x] / from='end' / path='x' / upsert='a'
    4: key `sinks.x.upsert`: a list of texts is wanted, and this is a text => upsert = [
[sinks.x] / from='end' / path='./e2'
    8: key `sinks.end2.path`: `x` writes there already => take from several
[sinks.x] / from=['end','end'] / path='x'
    2: key `sinks.x.from`: `end` stands there twice => once
[sinks.x] / from='end.blocked' / path='x'
    2: key `sinks.x.from`: `end` is no block => leave `.blocked` away
[run] / on_error='stop'
    2: key `run.on_error`: there is no `stop` => known are reject, fail
[run] / max_rejects='5' / thread=5
    3: key `run.thread`: there is no such key => did you mean `threads`?
[run] / max_rejects='many'
    2: key `run.max_rejects`: it can't be `many`: expected a number like 100 => max_rejects =
[run] / max_rejects=-1
    2: key `run.max_rejects`: it can't be less than none => max_rejects =
[run] / max_rejects=1.5
    2: key `run.max_rejects`: a whole number or a text is wanted, and this is another => max_rejects =
[run] / threads=2000
    2: key `run.threads`: a whole number from 1 to 1024 is wanted => threads = 4
[params] / list=[1] / [run] / rejects='${list}'
    4: key `run.rejects`: the parameter `list` is a list => $params
[test] / name='a'
    1: key `test`: a list of tables is wanted => [[test]]
[[test]] / name='a'
    1: `test` has no key `input` => input.SOURCE
[[test]] / name='a' / input.end=[{}]
    1: `test` has no key `expect` => expect.NODE
[[test]] / name='a' / input={} / expect.end=[]
    3: key `test.input`: no source is named in it => input.SOURCE
[[test]] / name='a' / input.edn=[{}] / expect.end=[]
    3: key `test.input.edn`: there is no such source => did you mean `end`?
[[test]] / name='a' / input.end=[{}] / expect.end3=[]
    4: key `test.expect.end3`: there is no such node => did you mean `end
[[test]] / name='a' / input.end={} / expect.end=[]
    3: key `test.input.end`: a list of records is wanted => [{ id = 1 }
[[test]] / name='a' / input.end=[{}] / expect.end=['{']
    4: key `test.expect.end`: the text is not JSON => a text that is JSON
[[test]] / name='a' / input.end=[{}] / expect.end.blocked=[]
    4: key `test.expect.end.blocked`: `end` is no block => leave `.blocked`
[[test]] / name='a' / input.end=[{}] / rejects=[{nod='end'}]
    4: key `test.rejects.nod`: there is no such key => did you mean `node`?
[[test]] / name='a' / input.end=[{}] / rejects=[{node='edn'}]
    4: key `test.rejects.node`: there is no such node => did you mean `end`?
[[test]] / name='a' / input.end=[{}] / rejects=[{node='end',kind='schmea'}]
    4: key `test.rejects.kind`: there is no `schmea` => did you mean `schema`?
[[test]] / name='a' / input.end=[{}] / rejects=['end']
    4: key `test.rejects`: a list of tables is wanted => rejects = [
[[test]] / name='a' / input.end=[] / rejects=[] / [[test]] / name='a' / input.end=[] / rejects=[]
    6: key `test.name`: two tests are called so => of its own
";

const END: &str = "\n[sources.end]\npath='e'\n[sinks.end2]\nfrom='end'\npath='e2'\n";

/// What is wrong with what is told of a file, if anything.
fn fault(
    text: &str,
    set: &[(&str, &str)],
    line: &str,
    message: &str,
    hint: &str,
) -> Option<String> {
    let Err(error) = parse(text, Path::new("/p"), &with(set)) else {
        return Some(format!("nothing is wrong with:\n{text}"));
    };
    let begin = if line.is_empty() { "--set: ".to_owned() } else { format!("line {line}: ") };
    let is_told = error.message.starts_with(&begin)
        && error.message.contains(message)
        && error.hint.as_deref().unwrap_or_default().contains(hint);
    let told = format!("{error:?}");
    (!is_told || told.contains("hush")).then(|| format!("of:\n{text}is told:\n{told}\n"))
}

#[test]
fn what_is_wrong_is_told_by_line_and_key_with_what_to_do() {
    let mut faults = Vec::new();
    for (cases, end) in [(WHOLE, "\n"), (PARTS, END)] {
        let lines: Vec<&str> = cases.trim().lines().collect();
        for case in lines.chunks(2) {
            let (line, told) = case[1].trim().split_once(": ").unwrap();
            let (message, hint) = told.split_once("=>").unwrap();
            let text = case[0].replace(" / ", "\n") + end;
            faults.extend(fault(&text, &[], line, message.trim(), hint.trim()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_set_and_nobody_asks_for_is_refused() {
    let text = |path: &str| {
        let nodes = format!("[sources.b]\npath='{path}'\n[sinks.c]\nfrom='b'\npath='c'");
        small(&format!("[params]\nday=1\n{nodes}"))
    };
    let unasked = |name: &str| format!("--set: nothing in it asks for the parameter `{name}`");
    let number = "key `params.day`: --set gives it what is no number";
    for (text, name, (line, message), hint) in [
        (text("${day}"), "dya", ("", unasked("dya")), "did you mean `day`?"),
        (text("${other:-x}"), "othre", ("", unasked("othre")), "did you mean `other`?"),
        (text("x"), "unasked", ("", unasked("unasked")), "known are day"),
        (small(""), "a", ("", unasked("a")), "[params] names them"),
        (text("x"), "day", ("2", number.to_owned()), "give it a number"),
    ] {
        assert_eq!(fault(&text, &[(name, "hush")], line, &message, hint), None);
    }
    let set = [("other", "y"), ("day", "5")];
    parse(&text("${other:-x}"), Path::new(""), &with(&set)).unwrap();
}
