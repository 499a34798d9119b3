//! The columns of an output that is a table: their names, order and types, known before the first
//! record from what is written for one (`--emit`, `--keep`, `--place`) and from the model's schemas.
//!
//! A field that no column was foreseen for makes its record a reject: nothing is dropped silently.

mod kind;

use crate::schema::fields;
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
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// JSON numbers.
    Number,
    /// JSON numbers without a fraction, of 64 bits.
    Integer,
    /// `true` and `false`.
    Boolean,
    /// Texts.
    String,
    /// Anything: objects with names of their own, or values of several types. In a table a text stands
    /// as it is, and all else as JSON.
    Json,
    /// Arrays of such values. Where a table has no such columns, it is [`Kind::Json`].
    List(Box<Kind>),
    /// Objects with these fields and no others, one at least. Where a table has no such columns, it is
    /// [`Kind::Json`].
    Struct(Vec<Column>),
}

impl Kind {
    /// Of the values that fit a schema, which is a part of `root`.
    pub fn of(root: &Value, schema: &Value) -> Self {
        kind::of(root, schema)
    }

    /// Whether its values hold others.
    pub fn is_nested(&self) -> bool {
        matches!(self, Kind::List(_) | Kind::Struct(_))
    }
}

/// How deep lists and structs may stand inside of each other: what is deeper is [`Kind::Json`].
pub const LEVELS_MAX: usize = kind::LEVELS_MAX;

/// The name of the only column where what is written is no object.
pub const VALUE: &str = "prediction";

/// What is known of records before the first of them is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// The fields that they have, or may have.
    pub columns: Vec<Column>,
    /// Whether they may have other fields too.
    pub is_open: bool,
    /// Whether they are no objects: what they are is the only column.
    pub is_value: bool,
}

impl Shape {
    /// Of a table's rows.
    pub fn of_table(columns: Vec<Column>) -> Self {
        Shape { columns, ..Shape::default() }
    }

    /// Of which nothing is known.
    pub fn unknown() -> Self {
        Shape { is_open: true, ..Shape::default() }
    }

    /// With the place of each around it.
    pub fn placed(self) -> Self {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let output = match (self.is_open || self.columns.is_empty(), self.is_value) {
            (true, _) => Kind::Json,
            (false, true) => self.columns[0].kind.clone(),
            (false, false) => Kind::Struct(self.columns),
        };
        Shape::of_table(vec![
            column("source", Kind::String),
            column("line", Kind::Integer),
            column("byte", Kind::Integer),
            column("output", output),
        ])
    }

    /// What is written for such records and the predictions for them. Of records that may have any
    /// fields, those are taken to be there that the model's input schema names.
    pub fn predicted(&self, emit: &Emit, input_schema: &Value, output_schema: &Value) -> Self {
        let is_known = !self.is_open || !self.columns.is_empty();
        let given = is_known.then_some(&self.columns[..]);
        let columns = of_record(emit, given, input_schema, output_schema);
        let is_value = *emit == Emit::Prediction && of_schema(output_schema).is_empty();
        // The record may have fields that no schema names; the row of a table can't.
        let is_open = *emit == Emit::Merge && self.is_open;
        Shape { columns, is_open, is_value }
    }
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
            // A record may have fields that no schema names; the row of a table can't.
            let input = given.filter(|columns| !columns.is_empty());
            let input = input.map_or(Kind::Json, |columns| Kind::Struct(columns.to_vec()));
            let prediction = Kind::of(output_schema, output_schema);
            let column = |name: &str, kind| Column { name: name.to_owned(), kind };
            return vec![column("input", input), column("prediction", prediction)];
        }
        Emit::Merge => read(),
        Emit::Keep(fields) => {
            let read = read();
            let kept = fields.iter().map(|name| {
                let found = read.iter().find(|column| column.name == *name);
                let kind = found.map_or(Kind::Json, |column| column.kind.clone());
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
        .map(|field| Column { name: field.name.to_owned(), kind: Kind::of(schema, field.own) });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(emit: Emit, has_place: bool, given: Option<&[Column]>, expected: &str) {
        let input = json!({"properties": {"a": {"type": "number"}, "b": {"type": "string"}}});
        let output = json!({"type": "object", "properties": {"p": {"type": "integer"}}});
        let given = given.map_or_else(Shape::unknown, |it| Shape::of_table(it.to_vec()));
        let shape = given.predicted(&emit, &input, &output);
        let columns = if has_place { shape.placed() } else { shape }.columns;
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
        let prediction = r#"prediction Struct([Column { name: "p", kind: Integer }])"#;
        check(Emit::Nest, false, None, &format!("input Json, {prediction}"));
        let input = r#"input Struct([Column { name: "id", kind: Integer }])"#;
        check(Emit::Nest, false, Some(&given), &format!("{input}, {prediction}"));
        let place = "source String, line Integer, byte Integer, output";
        check(Emit::Merge, true, None, &format!("{place} Json"));
        let output = r#"Struct([Column { name: "p", kind: Integer }])"#;
        check(Emit::Prediction, true, None, &format!("{place} {output}"));
        let id = r#"Column { name: "id", kind: Integer }"#;
        let output = format!(r#"Struct([{id}, Column {{ name: "p", kind: Integer }}])"#);
        check(Emit::Merge, true, Some(&given), &format!("{place} {output}"));
    }

    #[test]
    fn a_prediction_that_is_no_object_has_a_column_of_its_own() {
        let schema = json!({"type": "string"});
        let shape = Shape::unknown().predicted(&Emit::Prediction, &json!({}), &schema);
        assert_eq!(shape.columns, [Column { name: "prediction".to_owned(), kind: Kind::String }]);
        let columns = shape.placed().columns;
        assert_eq!(columns[3], Column { name: "output".to_owned(), kind: Kind::String });
    }
}
