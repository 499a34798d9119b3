//! Plugins that must not compile, as doctests; nothing of this is in the crate. A doctest can't see
//! the compiler's words: those are in the tests of `stamp.rs`.
//!
//! All are the first one, which does compile, with one name changed, so that none fails for
//! another reason.

macro_rules! plugin {
    ($name:ident, $doctest:literal, $first:literal, $second:literal, $file:literal) => {
        #[doc = concat!("```", $doctest)]
        /// use model_abi::{LoadContext, LoadError, MLModel, ModelInfo, NoConfig, PredictError};
        ///
        /// macro_rules! model {
        ///     ($type:ident, $name:literal) => {
        ///         struct $type;
        ///         impl MLModel for $type {
        ///             const INFO: ModelInfo = ModelInfo {
        ///                 display_name: "",
        ///                 qualified_name: $name,
        ///                 description: "",
        ///                 major_version: 0,
        ///                 minor_version: 1,
        ///             };
        #[doc = concat!("            const FILES: &'static [&'static str] = &[\"", $file, "\"];")]
        ///             type Config = NoConfig;
        ///             type Input = NoConfig;
        ///             type Output = ();
        ///             fn load(_: NoConfig, _: &LoadContext) -> Result<Self, LoadError> {
        ///                 Ok($type)
        ///             }
        ///             fn predict(&self, _: &NoConfig) -> Result<(), PredictError> {
        ///                 Ok(())
        ///             }
        ///         }
        ///     };
        /// }
        #[doc = concat!("model!(First, \"", $first, "\");")]
        #[doc = concat!("model!(Second, \"", $second, "\");")]
        /// model_abi::export_models![First, Second];
        /// ```
        struct $name;
    };
}

plugin!(Accepted, "standalone_crate", "one", "two", "a/b.bin");
plugin!(EmptyName, "compile_fail", "one", "", "a");
plugin!(NameWithASpace, "compile_fail", "one", "t wo", "a");
plugin!(SameName, "compile_fail", "one", "one", "a");
plugin!(FileElsewhere, "compile_fail", "one", "two", "../a");
