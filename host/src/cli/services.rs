//! The flags of services: where data lives, where the locations don't tell.
//!
//! The original's spellings work too. Two of them are two letters behind one dash, which no parser
//! of flags takes for one: [`rewritten`] does.

use super::trust::TrustArgs;
use crate::error::Error;
use crate::plugin::Trust;
use crate::plugin::trust::refuse_writable;
use crate::stop::Stop;
use crate::storage::secret::Secret;
use crate::storage::services::{Given, Services, ServicesError, file};
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

// No doc comment here: clap would take it for what the command is for.
#[derive(Args, Debug, Default)]
pub(super) struct ServiceArgs {
    /// Find services in this file: `NAME://path` is a path in the one that is called NAME there
    ///
    /// TOML, a table for each, called NAME: `kind` (local, s3, gs, az, http, postgres, sqlite) and options such
    /// as `bucket`, `endpoint`, `key`, `secret`. Values may hold ${VARIABLE} and ${VARIABLE:-default} of the
    /// environment. docs/services.md tells all of them.
    #[arg(long, value_name = "FILE")]
    pub(super) services: Option<PathBuf>,

    #[command(flatten)]
    pub(super) trust: TrustArgs,

    /// Take --input, --output and --rejects for keys in this bucket of S3
    #[arg(short, long, value_name = "NAME")]
    pub(super) bucket: Option<String>,

    /// The access key of S3 [default: $AWS_ACCESS_KEY_ID]
    #[arg(short, long, value_name = "ID", value_parser = secret, requires = "secret_key")]
    pub(super) key: Option<Secret>,

    /// The secret key of S3, also -sk [default: $AWS_SECRET_ACCESS_KEY]
    ///
    /// Whoever may list processes sees it on a command line. The environment keeps it out of there, and
    /// so does ${VARIABLE} in a file of services.
    #[arg(long, alias = "secret_key", value_name = "SECRET", value_parser = secret, requires = "key")]
    pub(super) secret_key: Option<Secret>,

    /// Where S3 is, also -ep: http://localhost:9000 [default: $AWS_ENDPOINT_URL, or Amazon's]
    #[arg(long, alias = "endpoint_url", value_name = "URL")]
    pub(super) endpoint_url: Option<String>,
}

fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

impl ServiceArgs {
    /// Refuses a bucket where paths are those of a pipeline's file: they have its folder before them.
    pub(super) fn refuse_bucket(&self) -> Result<(), Error> {
        match &self.bucket {
            None => Ok(()),
            Some(bucket) => Err(Error::Usage {
                message: "--bucket is for the paths of a command line, and not for those of a pipeline's file"
                    .to_owned(),
                hint: Some(format!("there the bucket stands in the path: s3://{bucket}/KEY")),
            }),
        }
    }

    /// All services, made once for a command. Once `stop` is set, they wait for nobody. `file`: of the
    /// pipeline, where no flag names another.
    pub(super) fn open(&self, file: Option<&Path>, stop: &Stop) -> Result<Arc<Services>, Error> {
        let variables = |name: &str| std::env::var(name).ok();
        let told = self.services.as_deref().or(file);
        let told = told.map(|path| file::read(path, &variables)).transpose()?.unwrap_or_default();
        let endpoint = self.endpoint_url.as_ref().map(Secret::new);
        let s3 = [("key", &self.key), ("secret", &self.secret_key), ("endpoint", &endpoint)];
        let s3 = s3.into_iter().filter_map(|(name, given)| Some((name.to_owned(), given.clone()?)));
        let file::Told { named, trust } = told;
        let given = Given { named, trust, bucket: self.bucket.clone(), s3: s3.collect() };
        Ok(Arc::new(Services::new(given, stop.clone())))
    }

    /// The file that says which plugins may be loaded: that of the flag, else that of the services.
    pub(super) fn trust_file<'a>(&'a self, services: &'a Services) -> Option<&'a Path> {
        self.trust.file.as_deref().or(services.trust())
    }

    /// What it says; `None`: all may be loaded. `file`: as of [`open`](Self::open).
    pub(super) fn trust(
        &self,
        services: &Services,
        file: Option<&Path>,
    ) -> Result<Option<Trust>, Error> {
        // Whoever could write to the file of services could name another file there.
        if let (None, Some(_), Some(path)) =
            (&self.trust.file, services.trust(), self.services.as_deref().or(file))
        {
            refuse_writable(path)?;
        }
        Ok(self.trust_file(services).map(Trust::read).transpose()?)
    }
}

impl From<ServicesError> for Error {
    fn from(ServicesError { message, hint }: ServicesError) -> Self {
        Error::Usage { message, hint }
    }
}

/// The original's `-sk` and `-ep`, where they stand as whole arguments, as flags that are known.
pub(super) fn rewritten(args: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut are_flags = true;
    args.map(move |arg| {
        are_flags &= arg != "--";
        match arg.to_str() {
            Some("-sk") if are_flags => "--secret-key".into(),
            Some("-ep") if are_flags => "--endpoint-url".into(),
            _ => arg,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_not_for_a_pipeline_that_is_in_a_file() {
        let mut args = ServiceArgs::default();
        args.refuse_bucket().unwrap();
        args.bucket = Some("b".to_owned());
        let error = args.refuse_bucket().unwrap_err();
        assert!(error.hint().unwrap().ends_with("s3://b/KEY"));
    }

    #[test]
    fn two_letters_behind_a_dash_are_a_flag_only_as_a_whole_argument() {
        let args = ["etl-host", "-sk", "-skx", "x-sk", "-ep", "--", "-sk"];
        let args = rewritten(args.into_iter().map(OsString::from)).collect::<Vec<_>>();
        let expected = ["etl-host", "--secret-key", "-skx", "x-sk", "--endpoint-url", "--", "-sk"];
        assert_eq!(args, expected);
    }
}
