//! The columns of an output that is a table: their names, order and types, known before the first
//! record from what is written for one (`--emit`, `--keep`, `--place`) and from the model's schemas.
//!
//! A field that no column was foreseen for makes its record a reject: nothing is dropped silently.

use crate::schema::{self, fields};
use crate::step::emit::Emit;
use serde_json::Value;

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, the field's.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

/// What the values of a column are. Each may be missing or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON numbers.
    Number,
    /// JSON numbers without a fraction, of 64 bits.
    Integer,
    /// `true` and `false`.
    Boolean,
    /// Texts.
    String,
    /// Anything: arrays, objects, or values of several types. In a table a text stands as it is, and
    /// all else as JSON.
    Json,
}

impl Kind {
    /// Of the values that fit a schema, which is a part of `root`.
    pub fn of(root: &Value, schema: &Value) -> Self {
        let mut kinds = Vec::new();
        for one in schema::alternatives(root, schema) {
            match schema::listed(one) {
                Some(values) => kinds.extend(values.into_iter().map(kind_of_value)),
                None => match &schema::types(one)[..] {
                    [] => return Kind::Json,
                    names => kinds.extend(names.iter().map(|name| kind_of_type(name))),
                },
            }
        }
        let mut kinds = kinds.into_iter().flatten(); // null fits every kind
        let Some(first) = kinds.next() else { return Kind::Json };
        kinds.fold(first, |one, other| match (one, other) {
            (one, other) if one == other => one,
            (Kind::Number, Kind::Integer) | (Kind::Integer, Kind::Number) => Kind::Number,
            _ => Kind::Json,
        })
    }
}

fn kind_of_type(name: &str) -> Option<Kind> {
    match name {
        "null" => None,
        "number" => Some(Kind::Number),
        "integer" => Some(Kind::Integer),
        "boolean" => Some(Kind::Boolean),
        "string" => Some(Kind::String),
        _ => Some(Kind::Json),
    }
}

fn kind_of_value(value: &Value) -> Option<Kind> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(Kind::Boolean),
        Value::Number(number) if number.is_f64() => Some(Kind::Number),
        Value::Number(_) => Some(Kind::Integer),
        Value::String(_) => Some(Kind::String),
        Value::Array(_) | Value::Object(_) => Some(Kind::Json),
    }
}

/// The name of the only column where what is written is no object.
pub const VALUE: &str = "prediction";

/// The columns of what is written for a record. `given`: those of the source, where it is a table
/// itself; else a record has the fields that the model's input schema names.
pub fn of_output(
    emit: &Emit,
    has_place: bool,
    given: Option<&[Column]>,
    input_schema: &Value,
    output_schema: &Value,
) -> Vec<Column> {
    let columns = of_record(emit, given, input_schema, output_schema);
    if !has_place {
        return columns;
    }
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    vec![
        column("source", Kind::String),
        column("line", Kind::Integer),
        column("byte", Kind::Integer),
        column("output", Kind::Json),
    ]
}

fn of_record(
    emit: &Emit,
    given: Option<&[Column]>,
    input_schema: &Value,
    output_schema: &Value,
) -> Vec<Column> {
    let read = || match given {
        Some(columns) => columns.to_vec(),
        None => of_schema(input_schema),
    };
    let mut columns = match emit {
        Emit::Prediction => Vec::new(),
        Emit::Nest => {
            let column = |name: &str| Column { name: name.to_owned(), kind: Kind::Json };
            return vec![column("input"), column("prediction")];
        }
        Emit::Merge => read(),
        Emit::Keep(fields) => {
            let read = read();
            let kept = fields.iter().map(|name| {
                let found = read.iter().find(|column| column.name == *name);
                let kind = found.map_or(Kind::Json, |column| column.kind);
                Column { name: name.clone(), kind }
            });
            kept.collect()
        }
    };
    let of_prediction = of_schema(output_schema);
    if columns.is_empty() && of_prediction.is_empty() {
        let kind = Kind::of(output_schema, output_schema);
        return vec![Column { name: VALUE.to_owned(), kind }];
    }
    for column in of_prediction {
        if !columns.iter().any(|other| other.name == column.name) {
            columns.push(column);
        }
    }
    columns
}

/// The fields that the schema of an object names.
pub fn of_schema(schema: &Value) -> Vec<Column> {
    let columns = fields(schema, schema);
    let columns = columns
        .map(|field| Column { name: field.name.to_owned(), kind: Kind::of(schema, field.schema) });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_kind(schema: Value, expected: Kind) {
        assert_eq!(Kind::of(&schema, &schema), expected, "{schema}");
    }

    #[test]
    fn a_column_is_what_its_schema_says_of_all_its_values_but_null() {
        check_kind(json!({"type": "number"}), Kind::Number);
        check_kind(json!({"type": ["integer", "null"]}), Kind::Integer);
        check_kind(json!({"type": ["integer", "number"]}), Kind::Number);
        check_kind(json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}), Kind::Boolean);
        check_kind(json!({"oneOf": [{"const": "a"}, {"const": "b"}]}), Kind::String);
        check_kind(json!({"enum": ["a", null]}), Kind::String);
        check_kind(json!({"enum": [1, 2.5]}), Kind::Number);
        check_kind(json!({"type": ["string", "integer"]}), Kind::Json);
        check_kind(json!({"type": "array"}), Kind::Json);
        check_kind(json!({"type": "null"}), Kind::Json);
        check_kind(json!(true), Kind::Json);
    }

    #[track_caller]
    fn check(emit: Emit, has_place: bool, given: Option<&[Column]>, expected: &str) {
        let input = json!({"properties": {"a": {"type": "number"}, "b": {"type": "string"}}});
        let output = json!({"properties": {"p": {"type": "integer"}}});
        let columns = of_output(&emit, has_place, given, &input, &output);
        let told: Vec<_> =
            columns.iter().map(|column| format!("{} {:?}", column.name, column.kind)).collect();
        assert_eq!(told.join(", "), expected);
    }

    #[test]
    fn what_is_written_for_a_record_tells_the_columns() {
        let kept = || Emit::Keep(vec!["b".to_owned(), "id".to_owned()]);
        let given = [Column { name: "id".to_owned(), kind: Kind::Integer }];
        check(Emit::Prediction, false, None, "p Integer");
        check(Emit::Merge, false, None, "a Number, b String, p Integer");
        check(Emit::Merge, false, Some(&given), "id Integer, p Integer");
        check(kept(), false, None, "b String, id Json, p Integer");
        check(kept(), false, Some(&given), "b Json, id Integer, p Integer");
        check(Emit::Nest, false, None, "input Json, prediction Json");
        check(kept(), true, None, "source String, line Integer, byte Integer, output Json");
    }

    #[test]
    fn a_prediction_that_is_no_object_has_a_column_of_its_own() {
        let schema = json!({"type": "string"});
        let columns = of_output(&Emit::Prediction, false, None, &json!({}), &schema);
        assert_eq!(columns, [Column { name: "prediction".to_owned(), kind: Kind::String }]);
    }
}
