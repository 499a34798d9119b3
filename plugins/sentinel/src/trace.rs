//! A constructor that makes the file which the environment variable `SENTINEL` names. `dlopen` runs it
//! before anybody can ask the library anything, so where there is no such file, no code of the plugin
//! has run.
//!
//! With `EXIT_WHEN_OPENED` set it ends the process there, too.

// SAFETY: the system's loader calls what stands in this section, once, and passes arguments that a
// C function may ignore.
#[used]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".init_array"))]
static CONSTRUCTOR: extern "C" fn() = leave_a_trace;

extern "C" fn leave_a_trace() {
    if let Some(path) = std::env::var_os("SENTINEL") {
        let _ = std::fs::write(path, "it was loaded");
    }
    if std::env::var_os("EXIT_WHEN_OPENED").is_some() {
        #[expect(clippy::disallowed_methods, reason = "what no plugin should do")]
        std::process::exit(0);
    }
}
