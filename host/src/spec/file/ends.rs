//! The sources and the sinks of a pipeline file.

use super::from;
use super::keys::{SINK, SOURCE, TYPES};
use super::section::{Context, Section, Text, located};
use crate::columns::{Column, Kind};
use crate::format::{Compression, Format};
use crate::spec::relative::Relative;
use crate::spec::{LINE_BYTES_MAX_USUAL, Port, Records, SinkSpec, SourceSpec};
use crate::storage::database::Selection;
use crate::storage::location::{Location, Remote, is_stdout};
use crate::storage::names::TableName;
use crate::toml_text::{Wrong, list, on_a_line};
use crate::{sink, source};
use std::ffi::OsString;
use std::path::Path;
use toml::de::DeTable;

/// `[sources.NAME]`.
pub(super) fn source<'a>(
    context: &'a Context<'a>,
    place: (&str, usize),
    table: &'a DeTable<'a>,
) -> Result<(Vec<Port>, SourceSpec), Wrong> {
    let section = Section::open(context, place, table, vec![SOURCE])?;
    let line_bytes_max = section.whole("line_bytes_max")?.map(|bytes| bytes as u32);
    let reading = reading(&section)?;
    let records = records(&section)?;
    let source = SourceSpec {
        relative: relative(&section, &records)?,
        records,
        line_bytes_max: line_bytes_max.unwrap_or(LINE_BYTES_MAX_USUAL),
        ..reading
    };
    Ok((Vec::new(), source))
}

fn records(section: &Section<'_>) -> Result<Records, Wrong> {
    let are_rejects = section.flag("rejects")?.unwrap_or(false);
    let paths = section.list("path")?;
    let not_empty =
        |paths: Vec<Text>| paths.into_iter().map(|path| section.not_empty("path", path)).collect();
    let paths: Option<Vec<Text>> = paths.map(not_empty).transpose()?;
    match (section.text("record")?, paths) {
        (Some(record), None) if !are_rejects => Ok(Records::One(record.value)),
        (None, Some(paths)) => {
            let folder = section.context.folder;
            let mut inputs = paths.into_iter().map(|path| input(folder, &path.value));
            match inputs.len() {
                0 => {
                    let hint = Some("path = \"in/flowers.csv\"".to_owned());
                    Err(section.wrong("path", "there is none in it", hint))
                }
                1 if are_rejects => {
                    Ok(Records::Rejects(inputs.next().expect("it was counted that there is one")))
                }
                _ if are_rejects => {
                    let hint = Some("a source for each, which one step takes from".to_owned());
                    Err(section.wrong("path", "there can be only one rejects file", hint))
                }
                _ => Ok(Records::Inputs(inputs.collect())),
            }
        }
        (None, None) => Err(section.missing("path")),
        (Some(_), _) => {
            let (other, hint) = match are_rejects {
                true => ("rejects", "a record that is given in place is in no file"),
                false => ("path", "leave one of them out"),
            };
            let message = format!("there can't be `{other}` too");
            Err(section.wrong("record", message, Some(hint.to_owned())))
        }
    }
}

/// What of the inputs is relative to the file.
pub(super) fn relative(section: &Section<'_>, records: &Records) -> Result<Relative, Wrong> {
    let located = match records {
        Records::Inputs(inputs) => &inputs[..],
        Records::Rejects(input) => std::slice::from_ref(input),
        Records::One(_) => return Ok(Relative::default()),
    };
    let texts = section.names("path")?;
    let inputs = texts.iter().map(String::as_str).zip(located.iter().map(|it| &**it));
    Ok(Relative::new(section.context.folder, inputs))
}

/// One of the inputs, which may be a glob: then what its folder is called is none.
fn input(folder: &Path, text: &str) -> OsString {
    match folder.to_str() {
        Some(folder) if text.contains(['*', '?', '[']) && Remote::of(text).is_none() => {
            located(glob::Pattern::escape(folder).as_ref(), text)
        }
        _ => located(folder, text),
    }
}

/// How something is read, and which rows of it.
pub(super) fn reading(section: &Section<'_>) -> Result<SourceSpec, Wrong> {
    let usual = source::csv::Options::default();
    let texts = section.list("fields")?;
    let may_be_secret = texts.iter().flatten().any(Text::has_parameters);
    let fields = texts.map(|texts| texts.into_iter().map(|it| it.value).collect::<Vec<_>>());
    if let Some(why) = fields.as_deref().and_then(source::csv::fault_of_names) {
        let why =
            if may_be_secret { "two columns have the same name, or one has none" } else { &why };
        return Err(section.wrong("fields", why, Some("name each column once".to_owned())));
    }
    if section.has("header") && fields.is_none() {
        let hint = "without `fields`, the header always names the columns".to_owned();
        return Err(section.wrong("header", "it goes with `fields`", Some(hint)));
    }
    let table = section.parsed("table", table_name)?;
    let query = section.text("query")?;
    if table.is_some() && query.is_some() {
        let hint = Some("leave one of them out".to_owned());
        return Err(section.wrong("query", "there can't be `table` too", hint));
    }
    Ok(SourceSpec {
        format: format(section)?,
        csv: source::csv::Options {
            delimiter: section.parsed("delimiter", source::csv::delimiter)?,
            quote: section.parsed("quote", source::csv::quote)?.unwrap_or(usual.quote),
            fields,
            has_header: section.flag("header")?.unwrap_or(usual.has_header),
            null_value: section.text("null_value")?.map_or(usual.null_value, |text| text.value),
        },
        selection: table.map(Selection::Table).or(query.map(|query| Selection::Query(query.value))),
        types: types(section)?,
        ..SourceSpec::default()
    })
}

/// Columns and their types.
fn types(section: &Section<'_>) -> Result<Vec<Column>, Wrong> {
    let columns = section.object("types")?.into_iter().map(|(name, value)| {
        let kind = TYPES.iter().find(|(known, _)| value.as_str() == Some(known));
        match kind {
            Some((_, kind)) => Ok(Column { name, kind: kind.clone() }),
            None => {
                let message =
                    format!("the column `{}` has no type that is known", on_a_line(&name));
                let hint = format!("known are {}", list(TYPES.iter().map(|(name, _)| *name)));
                Err(section.wrong("types", message, Some(hint)))
            }
        }
    });
    columns.collect()
}

fn format(section: &Section<'_>) -> Result<Option<Format>, Wrong> {
    Ok(section.text("format")?.and_then(|name| Format::named(&name.value)))
}

fn table_name(text: &str) -> Result<TableName, String> {
    text.parse().map_err(|why: crate::storage::names::NotAName| why.to_string())
}

/// `[sinks.NAME]`.
pub(super) fn sink<'a>(
    context: &'a Context<'a>,
    place: (&str, usize),
    table: &'a DeTable<'a>,
) -> Result<(Vec<Port>, SinkSpec), Wrong> {
    let section = Section::open(context, place, table, vec![SINK])?;
    let usual = sink::csv::Options::default();
    let sink = SinkSpec {
        output: section.location("path")?.filter(|path| !is_stdout(Path::new(path))),
        format: format(&section)?,
        compression: section.text("compression")?.map(|name| match name.value.as_str() {
            "gzip" => Some(Compression::Gzip),
            "zstd" => Some(Compression::Zstd),
            _ => None,
        }),
        csv: sink::csv::Options {
            delimiter: section.parsed("delimiter", source::csv::delimiter)?,
            has_header: section.flag("header")?.unwrap_or(usual.has_header),
            null_value: section.text("null_value")?.map_or(usual.null_value, |text| text.value),
        },
        columns: columns(&section)?,
        table: section.parsed("table", table_name)?,
        creates_table: section.flag("create_table")?.unwrap_or(false),
        upsert: section.names("upsert")?,
    };
    for (key, is_given) in
        [("create_table", sink.creates_table), ("upsert", !sink.upsert.is_empty())]
    {
        if is_given && sink.table.is_none() {
            let hint = Some("table = \"NAME\"".to_owned());
            return Err(section.wrong(key, "it goes with `table`", hint));
        }
    }
    if sink.table.is_some() && sink.compression.is_some() {
        let hint = Some("leave it out".to_owned());
        return Err(section.wrong("compression", "a table of a database has none", hint));
    }
    if let Some(format) = format_of(&sink).filter(|format| !format.is_table())
        && sink.table.is_none()
        && !sink.columns.is_empty()
    {
        let message = format!("{} has no columns", format.name());
        let hint = Some("choose the fields with a step of type `jq`: '{id, species}'".to_owned());
        return Err(section.wrong("columns", message, hint));
    }
    Ok((from(&section)?, sink))
}

/// The format of an output; `None`: it may be a database.
fn format_of(sink: &SinkSpec) -> Option<Format> {
    let location = sink.output.as_deref().map_or(Location::Stream, Location::of);
    let told = || Format::of(Path::new(location.name()?));
    let usual = || (!matches!(location, Location::Remote(_))).then_some(Format::Ldjson);
    sink.format.or_else(told).or_else(usual)
}

/// The columns of a sink.
fn columns(section: &Section<'_>) -> Result<Vec<Column>, Wrong> {
    let (names, types) = (section.names("columns")?, types(section)?);
    if source::csv::fault_of_names(&names).is_some() {
        let message = "two columns have the same name, or one has none";
        let hint = Some("name each column once".to_owned());
        return Err(section.wrong("columns", message, hint));
    }
    if let Some(other) = types.iter().find(|typed| !names.contains(&typed.name)) {
        let message = format!("there is no column `{}`", on_a_line(&other.name));
        return Err(section.wrong("types", message, Some("name it in `columns` too".to_owned())));
    }
    let columns = names.into_iter().map(|name| {
        let typed = types.iter().find(|typed| typed.name == name);
        Column { kind: typed.map_or(Kind::Json, |typed| typed.kind.clone()), name }
    });
    Ok(columns.collect())
}
