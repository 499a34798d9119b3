//! A jq program: compiled once, evaluated for each record by every worker.

use super::dialect::{self, may_be_too_much, too_much};
use super::meter::{Exceeded, Jq, Limits, Meter};
use super::refusal::{self, JqError};
use super::{super::Why, operators};
use crate::caught::{caught, words};
use crate::json::Scanner;
use crate::record::RejectKind;
use crate::spec::JqSpec;
use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::{Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Exn, Filter, Vars};
use jaq_json::{Val, read};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::thread;

/// The only variable that a program begins with.
const PARAMS: &str = "$params";
/// What the program is called while it is compiled.
const MAIN: &str = "main_";
/// A longer one is no program: data that it needs belongs into a table, or into `$params`.
pub(super) const PROGRAM_BYTES_MAX: usize = 64 * 1024;
/// jaq's parser and compiler take the stack for what is nested: for each byte of a program at most so much
/// (measured: 3 KiB, and 13 KiB where it is not optimized).
const STACK_BYTES_PER_BYTE: usize = if cfg!(debug_assertions) { 16 << 10 } else { 4 << 10 };
/// How much of an error's text a reject repeats, in characters: it may hold the whole record.
const SHOWN_ERROR_CHARS: usize = 300;

/// How errors begin that are jaq's own: words and values, however long. All others are a value.
const OF_JAQ: [&str; 2] = ["cannot ", "invalid path expression "];

/// A compiled program. A clone is the same one.
#[derive(Clone)]
pub struct Program(Arc<Compiled>);

struct Compiled {
    filter: Filter<Jq>,
    params: Val,
}

impl Program {
    /// Refuses a program that is wrong, with the place.
    pub fn compile(spec: &JqSpec) -> Result<Program, JqError> {
        let code = spec.program.as_str();
        if code.len() > PROGRAM_BYTES_MAX {
            return Err(JqError::too_long());
        }
        let filter = thread::scope(|scope| {
            let stack_bytes = (code.len() + 256) * STACK_BYTES_PER_BYTE;
            let builder = thread::Builder::new().stack_size(stack_bytes);
            let compiling = builder.spawn_scoped(scope, || compile(code));
            compiling
                .map_err(|error| JqError::no_thread(&error))?
                .join()
                .expect("the compiler doesn't panic")
        })?;
        let params = serde_json::to_vec(&spec.params).expect("a map of JSON values is JSON");
        let params = read::parse_single(&params).expect("it is JSON");
        Ok(Program(Arc::new(Compiled { filter, params })))
    }

    /// For the records of a batch, on one thread. How much of the stack it may take is counted from here.
    #[inline(always)]
    pub(in crate::step) fn begin(&self, limits: Limits) -> Evaluation<'_> {
        let Compiled { filter, params } = &*self.0;
        let vars = Vars::new([params.clone()]);
        Evaluation { filter, meter: Meter::new(&filter.lut, limits), vars }
    }
}

fn compile(code: &str) -> Result<Filter<Jq>, JqError> {
    let tokens = Lexer::new(code).lex().map_err(|errors| refusal::lexing(code, errors))?;
    if tokens.is_empty() {
        return Err(JqError::empty());
    }
    let parsed = Parser::new(&tokens).parse(|parser| parser.term());
    let mut body: Term<&str> = parsed.map_err(|errors| refusal::parsing(code, errors))?;
    operators::replace(&mut body);
    let program = Def { name: MAIN, args: Vec::new(), body };
    let (arena, main) = (Arena::default(), File { code: MAIN, path: () });
    let loaded = Loader::new(dialect::defs().chain([program])).load(&arena, main);
    let modules = loaded.unwrap_or_else(|_| unreachable!("a name is a program"));
    let compiler = Compiler::default().with_funs(dialect::funs()).with_global_vars([PARAMS]);
    let compiled = compiler.compile(modules);
    compiled.map_err(|errors| {
        refusal::compiling(code, errors.into_iter().flat_map(|(_, errors)| errors))
    })
}

/// Reads records as values of jaq; strictly, which jaq's own reader is not.
#[derive(Default)]
pub(in crate::step) struct Reader(Scanner);

impl Reader {
    /// Reads one record.
    pub(in crate::step) fn read(&mut self, record: &[u8]) -> Result<Val, Why> {
        let invalid = |why: &dyn fmt::Display| Why::new(RejectKind::InvalidJson, why.to_string());
        let text = std::str::from_utf8(record).expect("a step never sees other text");
        self.0.scan(text).map_err(|fault| invalid(&fault))?;
        if may_be_too_much(record)
            && let Some(what) = too_much(record)
        {
            return Err(Why::new(RejectKind::Jq, what));
        }
        read::parse_single(record).map_err(|error| invalid(&error))
    }
}

/// A program at work on one thread.
pub(in crate::step) struct Evaluation<'p> {
    filter: &'p Filter<Jq>,
    meter: Meter<'p>,
    vars: Vars<Val>,
}

impl Evaluation<'_> {
    /// Gives each output for a record of so many bytes to `take`, until there are no more or one of them
    /// says that it can't go on. Where that is the end, the outputs before are not to be used.
    pub(in crate::step) fn run(
        &self,
        record_bytes: usize,
        input: Val,
        mut take: impl FnMut(Val) -> Result<(), Why>,
    ) -> Result<(), Why> {
        self.meter.restart(record_bytes);
        let ran = caught(|| {
            let ctx = Ctx::<Jq>::new(&self.meter, self.vars.clone());
            for output in self.filter.id.run((ctx, input)) {
                take(output.map_err(failed)?)?;
            }
            Ok(())
        });
        ran.unwrap_or_else(|panic| {
            let message = match panic.downcast_ref::<Exceeded>() {
                Some(Exceeded::Steps) => "the program takes too many steps".to_owned(),
                Some(Exceeded::Stack) => "the program nests its calls too deeply".to_owned(),
                None => {
                    format!("the program can't be run: {}", words(&*panic).unwrap_or("a panic"))
                }
            };
            Err(Why::new(RejectKind::Jq, message))
        })
    }
}

/// What the program says of its error.
fn failed(end: Exn<'_, Val>) -> Why {
    let Ok(error) = end.get_err() else {
        return Why::new(RejectKind::Jq, "the program ends where it can't");
    };
    let mut shown = Shown::default();
    let _ = write!(shown, "{error}"); // fails where there is too much of it
    if !OF_JAQ.iter().any(|words| shown.text.starts_with(words)) {
        let given = error.into_val();
        shown = Shown::default();
        let _ = match &given {
            Val::TStr(text) => shown.write_str(&String::from_utf8_lossy(text)),
            other => write!(shown, "(no text) {other}"),
        };
    }
    Why::new(RejectKind::Jq, shown.text)
}

/// The beginning of a text. Control characters are left out: it is one line of a message.
#[derive(Default)]
struct Shown {
    text: String,
    chars: usize,
}

impl fmt::Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.chars == SHOWN_ERROR_CHARS {
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.text.push(if c.is_control() { ' ' } else { c });
            self.chars += 1;
        }
        Ok(())
    }
}
