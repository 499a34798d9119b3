//! Programs that are refused.

use super::*;

#[track_caller]
fn refused(program: &str, place: (usize, usize), expected: &str) {
    match JqStep::new("shape", &spec(program)) {
        Ok(_) => panic!("`{program}` is taken"),
        Err(error) => {
            assert_eq!(error.to_string(), expected, "{program}");
            assert_eq!((error.line, error.column), place, "{program}");
        }
    }
}

#[test]
fn a_program_that_does_not_compile_is_refused_with_the_place() {
    refused(
        ".a | slect(.b)",
        (1, 6),
        "line 1, column 6 of the program: there is no function `slect/1`; did you mean `select/1`?
    line 1: .a | slect(.b)
                 ^",
    );
    refused(
        "# é\n  .a\n| limit(3)",
        (3, 3),
        "line 3, column 3 of the program: there is no function `limit/1`; did you mean `limit/2`?
    line 3: | limit(3)
              ^",
    );
    refused(
        ".é",
        (1, 2),
        "line 1, column 2 of the program: unexpected `é`
    line 1: .é
             ^",
    );
    refused(
        "{a: $prams.x}",
        (1, 5),
        "line 1, column 5 of the program: there is no variable `$prams`; `$params` is there
    line 1: {a: $prams.x}
                ^",
    );
    refused(
        "if .a then 1 els 2 end",
        (1, 14),
        "line 1, column 14 of the program: expected an else or end, and not `els`
    line 1: if .a then 1 els 2 end
                         ^",
    );
    refused(
        ".a | ",
        (1, 5),
        "line 1, column 5 of the program: expected a term, but the program ends
    line 1: .a | 
                ^",
    );
    refused(
        "map(.a; ",
        (1, 4),
        "line 1, column 4 of the program: the `(` is never closed
    line 1: map(.a; 
               ^",
    );
    refused(
        ".a | \"x \\(.b",
        (1, 10),
        "line 1, column 10 of the program: the `(` is never closed
    line 1: .a | \"x \\(.b
                     ^",
    );
}

#[test]
fn what_is_wrong_is_said_of_all_kinds() {
    for (program, expected) in [
        ("", "the program is empty; `.` gives each record on as it is"),
        (" # only this", "the program is empty; `.` gives each record on as it is"),
        ("\"\\q\"", "line 1, column 3 of the program: there is no such escape in a string"),
        ("1.", "line 1, column 3 of the program: expected a digit"),
        ("break $x", "line 1, column 7 of the program: there is no label `$x`"),
        ("a::b", "line 1, column 1 of the program: there is no module `a`"),
        (
            "include \"x\"; .",
            "line 1, column 1 of the program: no modules are loaded: a program is in one piece",
        ),
        (".a .b }", "line 1, column 7 of the program: unexpected `}`"),
        ("zzzzzz", "line 1, column 1 of the program: there is no function `zzzzzz/0`"),
        ("product(1)", "line 1, column 1 of the program: there is no function `product/1`"),
    ] {
        let error = JqStep::new("shape", &spec(program)).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("`{program}` is taken"));
        assert_eq!(error.lines().next().unwrap(), expected, "{program}");
    }
    let long = format!("\"{}\"", "x".repeat(70_000));
    let error = JqStep::new("shape", &spec(&long)).err().unwrap();
    assert!(error.to_string().contains("longer than 64 KiB"), "{error}");
}

#[test]
fn what_depends_on_anything_but_the_record_is_refused_with_what_to_do() {
    for (name, instead) in [
        ("now", "$params"),
        ("localtime", "$params"),
        ("strflocaltime(\"%H\")", "$params"),
        ("env", "$params"),
        ("env.HOME", "$params"),
        ("$ENV.HOME", "$params"),
        ("input", "one record"),
        ("[inputs]", "one record"),
        ("input_filename", "one record"),
        ("input_line_number", "one record"),
        ("debug", "outputs"),
        ("debug(\"x\")", "outputs"),
        ("stderr", "outputs"),
        ("halt", "error(…)"),
        ("halt_error", "error(…)"),
        ("halt_error(1)", "error(…)"),
        ("halt(1)", "error(…)"),
        ("{a: (.b | now)}", "$params"),
        ("try input catch 1", "one record"),
    ] {
        let error = JqStep::new("shape", &spec(name)).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("`{name}` is taken"));
        assert!(error.contains(instead) && error.contains(": there is no `"), "{name}: {error}");
    }
    for made_of in ["debug_empty", "stderr_empty", "halt_error_", "inputs_"] {
        assert!(JqStep::new("shape", &spec(made_of)).is_err(), "{made_of}");
    }
    check("def now: 7; def env: {a: 1}; [now, env.a]", "1", "[7,1]\n");
}

#[test]
fn dates_do_not_depend_on_the_clock_or_the_machine() {
    check(
        "fromdate, (fromdate | todate)",
        "\"2026-11-27T04:05:06Z\"",
        "1795752306\n\"2026-11-27T04:05:06Z\"\n",
    );
    check("strptime(\"%d.%m.%Y\") | mktime", "\"27.11.2026\"", "1795737600\n");
    check("gmtime | strftime(\"%A, %e %B %Y\")", "1795752306", "\"Friday, 27 November 2026\"\n");
    check(
        "strptime(\"%Y %Q\")",
        "\"2026 Europe/Berlin\"",
        "0 jq: strptime: %Q depends on the machine\n",
    );
}
