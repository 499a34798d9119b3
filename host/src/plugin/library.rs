//! The only `dlopen`. From a file to a root module whose layout has been compared, or the reason
//! why not.
//!
//! - The path is made absolute first: a bare name would fall through to the system's search path.
//! - Bytes that are held are loaded by their descriptor's name, and stay open for ever: the system's
//!   loader would take another library of the same number for this one.
//! - Binding is immediate and local: a symbol that is missing is found now and not in the middle
//!   of a run, and two plugins never see each other's symbols.
//! - abi_stable's own loaders are not used: they keep one library for each root module type, so
//!   that a second plugin would silently be the first.
//! - A library is never unloaded. Its threads, its thread-locals and every function pointer we
//!   hold would dangle; a process that wants a newer plugin is a new process.

use super::image::Image;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use model_abi::stamp::Stamp;
use model_abi_layout::{
    ABI_VERSION, AbiHeaderRef, ExtensionTable, HEADER_SYMBOL, LibraryError, PluginRef, RSlice,
};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

/// Why a library that looked like a plugin could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path can't be made absolute.
    #[error("its absolute path can't be found")]
    Path(#[source] std::io::Error),
    /// The system's loader refused it.
    #[error("the system can't load it: {}", reason(.0))]
    Dlopen(libloading::Error),
    /// It has a stamp and no header.
    #[error("expected a plugin's header, found no symbol `{HEADER_SYMBOL}`")]
    NoHeader,
    /// It was built with another generation of abi_stable.
    #[error("expected a header of abi_stable 0.11, found another one")]
    Header {
        /// abi_stable's own words.
        report: String,
    },
    /// Its layout was left out on purpose, so it can't be compared.
    #[error("expected a header with its layout, found one that leaves it unchecked")]
    LayoutUnchecked,
    /// It lays out what crosses the border in another way.
    #[error(
        "expected the root module of the border {ABI_VERSION}, found one that is laid out \
         otherwise, though its stamp says {stamped}"
    )]
    Layout {
        /// The version that its stamp gives.
        stamped: String,
        /// abi_stable's own words, a page of them.
        report: String,
    },
}

/// libloading's own words are "dlopen failed"; the loader's stand behind them.
fn reason(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

impl OpenError {
    /// Long text for `--verbose`.
    pub fn report(&self) -> Option<&str> {
        match self {
            OpenError::Header { report } | OpenError::Layout { report, .. } => Some(report),
            _ => None,
        }
    }
}

/// Loads the library and compares the layout of its root module. Runs the library's constructors:
/// look at it first ([`look_at`](super::look::look_at)).
pub(super) fn open(image: &Image, stamp: &Stamp) -> Result<PluginRef, OpenError> {
    let path: PathBuf = std::path::absolute(image.place()).map_err(OpenError::Path)?;
    image.keep();
    let library = dlopen(&path).map_err(OpenError::Dlopen)?;
    let header = header(&library).ok_or(OpenError::NoHeader)?;
    std::mem::forget(library);

    let header =
        header.upgrade().map_err(|error| OpenError::Header { report: error.to_string() })?;
    if header.layout().is_none() {
        return Err(OpenError::LayoutUnchecked);
    }
    header.init_root_module::<PluginRef>().map_err(|error: LibraryError| OpenError::Layout {
        stamped: stamp.abi.clone(),
        report: error.to_string(),
    })
}

#[expect(unsafe_code, clippy::disallowed_methods, reason = "the one dlopen")]
fn dlopen(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: the file carries a plugin's stamp; whoever names it on the command line trusts its
    // code to run here, constructors included.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
}

#[expect(unsafe_code, reason = "a symbol's type is a matter of trust")]
fn header(library: &Library) -> Option<AbiHeaderRef> {
    // SAFETY: `export_models!` exports this symbol as a static that begins with an `AbiHeader`,
    // and the stamp says that the file was made by it. The library is never unloaded, so 'static
    // holds.
    unsafe { library.get::<AbiHeaderRef>(HEADER_SYMBOL.as_bytes()).ok().map(|symbol| *symbol) }
}

/// Asks for a table beyond the root module, and for its size in bytes. `None`: not offered.
#[expect(unsafe_code, reason = "the border")]
pub(super) fn extension(root: PluginRef, name: &str) -> Option<(NonNull<ExtensionTable>, u64)> {
    let name = RSlice::from_slice(name.as_bytes());
    // SAFETY: null is one of the two things that may be given: this host offers no table yet.
    let table = NonNull::new(unsafe { (root.extension())(name, ptr::null()) }.cast_mut())?;
    // SAFETY: a table that is not null begins with its size, by the border; and it lives as long
    // as the library, which is never unloaded.
    Some((table, unsafe { (*table.as_ptr()).size }))
}
