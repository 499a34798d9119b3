//! What is frozen, as a table: every size, alignment, offset, type, number and name.
//!
//! A failure here means that a plugin in the field would be refused or, worse, misread. Never
//! rewrite a line to make it pass: undo the change that broke it. (A new constant is a new line.)
//! The crate's own documentation says in which other ways the border grows.
//!
//! For 64-bit targets, the only ones that plugins are made for.
#![cfg(target_pointer_width = "64")]

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;
use model_abi_layout::{
    ABI_VERSION, Answer, Control, ExtensionTable, FLAG_TRACE, HEADER_SYMBOL, Header, HostTable,
    LoadAnswer, Model, PROGRESS_NOT_TOLD, Plugin, PluginRef, RSlice, RVec, RecordError, Request,
    Span, WithMetadata, kind, stamp,
};
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

/// `size/alignment`, then each field with its offset. Taken apart without `..` and with its types:
/// a field that is added, renamed or retyped does not even compile.
macro_rules! layout {
    ($type:ident { $($field:ident: $field_type:ty),* $(,)? }) => {{
        let _every_field = |it: $type| {
            let $type { $($field),* } = it;
            $(let _: $field_type = $field;)*
        };
        let mut text = sizes::<$type>(stringify!($type));
        $(text += &format!(" {}@{}", stringify!($field), offset_of!($type, $field));)*
        text
    }};
}

fn sizes<T>(name: &str) -> String {
    format!("{name} {}/{}", size_of::<T>(), align_of::<T>())
}

#[track_caller]
fn check(found: &[String], golden: &str) {
    let golden: Vec<&str> = golden.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(found, golden, "the border is frozen");
}

#[test]
fn no_size_alignment_offset_or_type_ever_changes() {
    let found = [
        layout!(Plugin {
            describe: extern "C" fn() -> RVec<u8>,
            load: extern "C" fn(
                RSlice<'_, u8>,
                RSlice<'_, u8>,
                RSlice<'_, u8>,
                &mut LoadAnswer,
            ) -> u32,
            predict_batch: unsafe extern "C" fn(*const Model, &Request<'_>, &mut Answer) -> u32,
            unload: unsafe extern "C" fn(*const Model) -> u32,
            extension: unsafe extern "C" fn(
                RSlice<'_, u8>,
                *const HostTable,
            ) -> *const ExtensionTable,
        }),
        layout!(LoadAnswer { handle: *const Model, report: RVec<u8>, reserved: [u64; 4] }),
        layout!(Span { start: u32, len: u32 }),
        layout!(Request {
            bytes: RSlice<'_, u8>,
            records: RSlice<'_, Span>,
            control: *const Control,
            flags: u64,
            output_bytes_max: u64,
            reserved: [u64; 9],
        }),
        layout!(Control { cancel: AtomicU64, progress: AtomicU64, reserved: [AtomicU64; 6] }),
        layout!(Answer {
            output: RVec<u8>,
            output_ends: RVec<u32>,
            errors: RVec<RecordError>,
            error_text: RVec<u8>,
            notes: RVec<u8>,
            note_ends: RVec<u32>,
            answered: u64,
            reserved: [u64; 7],
        }),
        layout!(RecordError {
            record: u32,
            kind: u32,
            path_len: u32,
            text_end: u32,
            reserved: [u32; 2],
        }),
        layout!(HostTable { size: u64 }),
        layout!(ExtensionTable { size: u64 }),
        sizes::<Model>("Model"),
        sizes::<RVec<u8>>("RVec<u8>"),
        sizes::<RSlice<'_, u8>>("RSlice<u8>"),
        sizes::<PluginRef>("PluginRef"),
        sizes::<WithMetadata<Plugin>>("WithMetadata<Plugin>"),
        sizes::<Header>("Header"),
    ];
    check(
        &found,
        "
        Plugin 40/8 describe@0 load@8 predict_batch@16 unload@24 extension@32
        LoadAnswer 72/8 handle@0 report@8 reserved@40
        Span 8/4 start@0 len@4
        Request 128/8 bytes@0 records@16 control@32 flags@40 output_bytes_max@48 reserved@56
        Control 64/64 cancel@0 progress@8 reserved@16
        Answer 256/8 output@0 output_ends@32 errors@64 error_text@96 notes@128 note_ends@160 answered@192 reserved@200
        RecordError 24/4 record@0 kind@4 path_len@8 text_end@12 reserved@16
        HostTable 8/8 size@0
        ExtensionTable 8/8 size@0
        Model 0/1
        RVec<u8> 32/8
        RSlice<u8> 16/8
        PluginRef 8/8
        WithMetadata<Plugin> 56/8
        Header 152/8
        ",
    );
}

#[test]
fn abi_stable_records_the_same_packages_names_and_order_for_ever() {
    // A `PluginRef` is a thin pointer; what it points to stands among its phantom fields.
    let root = <PluginRef as StableAbi>::LAYOUT.phantom_fields().get(0).expect("its target");
    let found = [
        root.layout(),
        <LoadAnswer as StableAbi>::LAYOUT,
        <Span as StableAbi>::LAYOUT,
        <Request<'static> as StableAbi>::LAYOUT,
        <Control as StableAbi>::LAYOUT,
        <Answer as StableAbi>::LAYOUT,
        <RecordError as StableAbi>::LAYOUT,
        <HostTable as StableAbi>::LAYOUT,
        <ExtensionTable as StableAbi>::LAYOUT,
        <Model as StableAbi>::LAYOUT,
        <RVec<u8> as StableAbi>::LAYOUT,
        <RSlice<'static, u8> as StableAbi>::LAYOUT,
    ];
    check(
        &found.map(names),
        "
        model-abi-layout Plugin describe() load(name,config,context,answer,) predict_batch(model,request,answer,)unsafe unload(model,)unsafe extension(name,host,)unsafe
        model-abi-layout LoadAnswer handle report reserved
        model-abi-layout Span start len
        model-abi-layout Request bytes records control flags output_bytes_max reserved
        model-abi-layout Control cancel progress reserved
        model-abi-layout Answer output output_ends errors error_text notes note_ends answered reserved
        model-abi-layout RecordError record kind path_len text_end reserved
        model-abi-layout HostTable size
        model-abi-layout ExtensionTable size
        model-abi-layout Model opaque
        abi_stable RVec buffer length capacity vtable _marker
        abi_stable RSlice data length _marker
        ",
    );
}

/// A type's package and name, its fields in order, and the parameters of those that are functions.
fn names(layout: &'static TypeLayout) -> String {
    let mut text = format!("{} {}", layout.package(), layout.name());
    for field in layout.get_fields().expect("it is a struct").iter() {
        text += &format!(" {}", field.name());
        for function in field.function_range().iter() {
            let qualifier = if function.fn_qualifs.is_unsafe() { "unsafe" } else { "" };
            text += &format!("({}){qualifier}", function.param_names);
        }
    }
    text
}

#[test]
fn the_major_version_is_1_for_ever() {
    assert!(ABI_VERSION.starts_with("1."), "{ABI_VERSION}");
}

#[test]
fn no_kind_is_ever_renumbered() {
    let found = [
        ("NOT_JSON", kind::NOT_JSON),
        ("SCHEMA", kind::SCHEMA),
        ("VALUE", kind::VALUE),
        ("PANIC", kind::PANIC),
        ("NOT_FINITE", kind::NOT_FINITE),
        ("NOT_WRITABLE", kind::NOT_WRITABLE),
        ("MODEL_BROKEN", kind::MODEL_BROKEN),
        ("WRONG_COUNT", kind::WRONG_COUNT),
        ("CALL_PANICKED", kind::CALL_PANICKED),
        ("NO_SUCH_MODEL", kind::NO_SUCH_MODEL),
        ("CONFIG", kind::CONFIG),
        ("LOAD_FAILED", kind::LOAD_FAILED),
        ("WRONG_REQUEST", kind::WRONG_REQUEST),
        ("TRY_LATER", kind::TRY_LATER),
        ("NOT_ATTEMPTED", kind::NOT_ATTEMPTED),
    ];
    check(
        &found.map(|(name, number)| format!("{number} {name}")),
        "
        1 NOT_JSON
        2 SCHEMA
        3 VALUE
        4 PANIC
        5 NOT_FINITE
        6 NOT_WRITABLE
        100 MODEL_BROKEN
        101 WRONG_COUNT
        102 CALL_PANICKED
        103 NO_SUCH_MODEL
        104 CONFIG
        105 LOAD_FAILED
        106 WRONG_REQUEST
        200 TRY_LATER
        300 NOT_ATTEMPTED
        ",
    );
    assert_eq!((kind::RECORD, kind::BROKEN), (1..=99, 100..=199));
    assert_eq!((kind::LATER, kind::UNTRIED), (200..=299, 300..=399));
}

#[test]
fn no_name_or_constant_is_ever_changed() {
    assert_eq!(HEADER_SYMBOL, "etl_host_plugin_header");
    assert_eq!(stamp::SYMBOL, "etl_host_plugin_stamp");
    assert_eq!(&stamp::MAGIC, b"etl-host-plugin\0");
    assert_eq!((stamp::HEAD_BYTES, stamp::TEXT_BYTES_MAX), (20, 1_048_576));
    assert_eq!((FLAG_TRACE, PROGRESS_NOT_TOLD), (1, u64::MAX));
}
