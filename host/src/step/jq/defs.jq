# What jq has and jaq lacks. IN, INDEX, leaf_paths, tostream, fromstream, truncate_stream: from jq's
# builtin.jq (https://github.com/jqlang/jq, MIT licence).

# `strptime_` is jaq's `strptime`. %Q asks the time zones that this machine knows.
def strptime($format):
  if $format | isstring and contains("Q") then error("strptime: %Q depends on the machine")
  else strptime_($format) end;

def row_($format; f):
  if isarray | not then error("\(type) can't be written as \($format), only an array can") end
  | [.[] |
      if isstring then f
    elif isnumber or isboolean then tostring
    elif . == null then ""
    else error("\(type) can't be written in a row of \($format)") end];
def @csv: row_("csv"; "\"" + (split("\"") | join("\"\"")) + "\"") | join(",");
def @tsv:
  row_("tsv"; gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r"))
  | join("\t");

def toarray: if isarray then . else [.] end;
def trimstr($s): ltrimstr($s) | rtrimstr($s);
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] |= $row);
def INDEX(f): INDEX(.[]; f);
def leaf_paths: paths(scalars);
def tostream: path(def r: (.[]? | r), .; r) as $p | getpath($p)
  | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);
def fromstream(f): {x: null, e: false} as $init
  | foreach f as $i ($init; if .e then $init else . end
      | if $i | length == 2
        then setpath(["e"]; $i[0] | length == 0) | setpath(["x"] + $i[0]; $i[1])
        else setpath(["e"]; $i[0] | length == 1) end;
      if .e then .x else empty end);
def truncate_stream(stream): . as $n | null | stream | . as $in
  | if (.[0] | length) > $n then setpath([0]; .[0][$n:]) else empty end;
