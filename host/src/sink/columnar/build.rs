//! Rows of the encoder into arrays: a builder for each column, which holds others where its values do.

use crate::columns::{Column, Kind};
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListArray, NullBufferBuilder,
    StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use std::sync::Arc;

/// What the items of a list are called, as everywhere.
const ITEM: &str = "item";

pub(super) fn data_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Number => DataType::Float64,
        Kind::Integer => DataType::Int64,
        Kind::Boolean => DataType::Boolean,
        Kind::String | Kind::Json => DataType::Utf8,
        Kind::List(items) => DataType::List(item(items)),
        Kind::Struct(columns) => DataType::Struct(fields(columns)),
    }
}

pub(super) fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(|it| Field::new(&it.name, data_type(&it.kind), true)).collect()
}

fn item(kind: &Kind) -> FieldRef {
    Arc::new(Field::new(ITEM, data_type(kind), true))
}

/// A column that grows.
pub(super) enum Builder {
    Number(Float64Builder),
    Integer(Int64Builder),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
    List(Box<List>),
    Struct(Struct),
}

pub(super) struct List {
    item: FieldRef,
    items: Builder,
    /// Where each list begins, and where the last one ends.
    offsets: Vec<i32>,
    there: NullBufferBuilder,
    /// How many items there are.
    len: i32,
}

pub(super) struct Struct {
    fields: Fields,
    columns: Vec<Builder>,
    there: NullBufferBuilder,
}

impl Builder {
    pub(super) fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Number => Builder::Number(Float64Builder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Boolean => Builder::Boolean(BooleanBuilder::new()),
            Kind::String | Kind::Json => Builder::Text(StringBuilder::new()),
            Kind::List(items) => Builder::List(Box::new(List {
                item: item(items),
                items: Builder::new(items),
                offsets: vec![0],
                there: NullBufferBuilder::new(0),
                len: 0,
            })),
            Kind::Struct(columns) => Builder::Struct(Struct {
                fields: fields(columns),
                columns: columns.iter().map(|column| Builder::new(&column.kind)).collect(),
                there: NullBufferBuilder::new(0),
            }),
        }
    }

    /// Appends the value that the encoder wrote, and takes it from the row.
    pub(super) fn push(&mut self, rest: &mut &[u8]) {
        let is_there = take(rest, 1) == [1];
        match self {
            Builder::Number(it) => {
                it.append_option(is_there.then(|| f64::from_le_bytes(fixed(rest))));
            }
            Builder::Integer(it) => {
                it.append_option(is_there.then(|| i64::from_le_bytes(fixed(rest))));
            }
            Builder::Boolean(it) => it.append_option(is_there.then(|| take(rest, 1) == [1])),
            Builder::Text(it) => it.append_option(is_there.then(|| {
                let len = u32::from_le_bytes(fixed(rest)) as usize;
                std::str::from_utf8(take(rest, len)).expect("it was text")
            })),
            Builder::List(it) => {
                let len = if is_there { u32::from_le_bytes(fixed(rest)) } else { 0 };
                (0..len).for_each(|_| it.items.push(rest));
                it.len += len as i32; // the longest row and the fullest table have fewer
                it.offsets.push(it.len);
                it.there.append(is_there);
            }
            Builder::Struct(it) => {
                it.columns.iter_mut().for_each(|column| column.push(rest));
                it.there.append(is_there);
            }
        }
    }

    /// All values; there are none from then on.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Number(it) => Arc::new(it.finish()),
            Builder::Integer(it) => Arc::new(it.finish()),
            Builder::Boolean(it) => Arc::new(it.finish()),
            Builder::Text(it) => Arc::new(it.finish()),
            Builder::List(it) => {
                let offsets = std::mem::replace(&mut it.offsets, vec![0]);
                it.len = 0;
                let offsets = OffsetBuffer::new(offsets.into());
                let (items, there) = (it.items.finish(), it.there.finish());
                Arc::new(ListArray::new(it.item.clone(), offsets, items, there))
            }
            Builder::Struct(it) => {
                let columns = it.columns.iter_mut().map(Builder::finish).collect();
                Arc::new(StructArray::new(it.fields.clone(), columns, it.there.finish()))
            }
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, behind) = rest.split_at(len);
    *rest = behind;
    taken
}

fn fixed<const LEN: usize>(rest: &mut &[u8]) -> [u8; LEN] {
    take(rest, LEN).try_into().expect("it has this length")
}
