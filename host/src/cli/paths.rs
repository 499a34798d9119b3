//! Which files a command line names, and that none of them would be written over by mistake.

use super::files::Plan;
use super::job::Job;
use crate::error::Error;
use crate::journal::place;
use crate::plugin::folder;
use crate::spec::{BlockSpec, ModelSpec, Records, StepSpec};
use crate::storage::database::Database;
use crate::storage::location::{Location, is_stdout};
use crate::storage::services::Services;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The folder that plugins are found in.
pub(super) fn plugin_folder(given: Option<&PathBuf>) -> PathBuf {
    let told = || std::env::var_os("ETL_HOST_PLUGIN_DIR").filter(|told| !told.is_empty());
    given.cloned().or_else(|| told().map(PathBuf::from)).unwrap_or_else(|| "./plugins".into())
}

/// The plugin's file, where it is named or where it is found.
pub(super) fn plugin(args: &ModelSpec) -> Result<PathBuf, Error> {
    if let Some(file) = &args.plugin {
        return Ok(file.clone());
    }
    let path = plugin_folder(args.plugin_dir.as_ref());
    folder::find(&path, args.model.as_ref()).map_err(|source| Error::Folder { path, source })
}

/// Refuses a pipeline in which an output is also something else.
pub(super) fn refuse_to_overwrite(
    job: &Job<'_>,
    plan: &Plan,
    plugins: &[&Path],
    services: &Services,
) -> Result<(), Error> {
    let spec = &job.spec;
    if spec.rejects.as_deref().is_some_and(|path| is_stdout(Path::new(path))) {
        return Err(Error::usage("rejects can't go to stdout, where predictions may go"));
    }
    let to_stdout = plan.runs.iter().flat_map(|files| &files.outputs);
    let to_stdout = to_stdout.filter(|output| **output == Location::Stream).count() > 0;
    if to_stdout && job.run.summary.as_deref().is_some_and(is_stdout) {
        return Err(Error::usage("the summary can't go to stdout, where the predictions go"));
    }
    let identity = |location: &Location| match location {
        Location::Local(path) => identity(path).map(Identity::File),
        location => match services.database(location) {
            Some(Database::Sqlite(path)) => identity(&path).map(Identity::File),
            _ => services.identity(location).map(Identity::Remote),
        },
    };
    let is_database = |location: &Location| services.database(location).is_some();
    // What each is, and whether it is read or written as a database.
    let mut seen: HashMap<Identity, (String, bool)> = HashMap::new();
    for files in &plan.runs {
        for (source, inputs) in spec.sources.iter().zip(&files.sources) {
            let input = match source.what.records {
                _ if job.is_named() => format!("the input of `{}`", source.name),
                Records::Rejects(_) => "REJECTS, which is replayed,".to_owned(),
                Records::Inputs(_) | Records::One(_) => "--input".to_owned(),
            };
            for location in inputs {
                let other = (input.clone(), is_database(location));
                seen.extend(identity(location).map(|it| (it, other)));
            }
        }
    }
    let told = job.services.services.as_deref().or(spec.services.as_deref());
    let mut others =
        vec![("--services".to_owned(), told), ("the pipeline".to_owned(), job.file.as_deref())];
    others.push(("--trust".to_owned(), job.services.trust_file(services)));
    others.extend(plugins.iter().map(|plugin| ("--plugin".to_owned(), Some(*plugin))));
    others.extend(spec.steps.iter().map(|step| match &step.what {
        StepSpec::Model(model) if job.is_named() => {
            (format!("the config of `{}`", step.name), model.config_file.as_deref())
        }
        StepSpec::Model(model) => ("--config".to_owned(), model.config_file.as_deref()),
        StepSpec::Validate(validate) => {
            (format!("the schema of `{}`", step.name), Some(&*validate.schema))
        }
        StepSpec::Jq(jq) | StepSpec::Block(BlockSpec { when: jq, .. }) => {
            (format!("the program of `{}`", step.name), jq.file.as_deref())
        }
        _ => (String::new(), None),
    }));
    for (what, path) in others.into_iter().filter_map(|(what, path)| Some((what, path?))) {
        let other = (what, false);
        seen.extend(identity(&Location::Local(path.to_owned())).map(|it| (it, other)));
    }
    for step in &spec.steps {
        let StepSpec::Lookup(lookup) = &step.what else { continue };
        let Records::Inputs(paths) = &lookup.table.records else { continue };
        for path in paths {
            let (location, what) =
                (services.resolve(path)?, format!("the table of `{}`", step.name));
            let other = (what, is_database(&location));
            seen.extend(identity(&location).map(|it| (it, other)));
        }
    }
    let outputs = plan.runs.iter().flat_map(|files| {
        let outputs = spec.sinks.iter().zip(&files.outputs);
        let outputs = outputs.map(|(sink, output)| (job.output(sink), output.clone()));
        outputs.chain([("the rejects file".to_owned(), files.rejects.clone())])
    });
    let summary = job.run.summary.as_deref().filter(|path| !is_stdout(path));
    let ticket = job.run.hold.as_deref().map(|path| ("the ticket of --hold", path));
    let files = summary.map(|path| ("the summary", path)).into_iter().chain(ticket);
    let files = files.map(|(what, path)| (what.to_owned(), Location::Local(path.to_owned())));
    let mut written = HashSet::new();
    for (what, location) in outputs.chain(files) {
        if location.local().is_some_and(is_hidden) {
            return Err(Error::usage(format!(
                "{what} can't have a name that etl-host gives to files of its own, `{location}`"
            )));
        }
        let Some(identity) = identity(&location) else { continue };
        if let Some((other, is_also)) = seen.get(&identity) {
            if *is_also && is_database(&location) {
                // Read and written at once it may be; but who writes to it, locks the whole file.
                if !written.insert(identity) {
                    return Err(Error::Usage {
                        message: format!(
                            "{what} and {other} are tables of the same file, `{location}`"
                        ),
                        hint: Some("SQLite takes one writer at a time: a file for each".to_owned()),
                    });
                }
                continue;
            }
            let shown = match &identity {
                Identity::File(path) => path.display().to_string(),
                Identity::Remote(_) => location.to_string(),
            };
            return Err(Error::Usage {
                message: format!("{what} and {other} are the same file, `{shown}`"),
                hint: Some("give each a file of its own".to_owned()),
            });
        }
        let is_also = is_database(&location);
        if is_also {
            written.insert(identity.clone());
        }
        seen.insert(identity, (what, is_also));
    }
    Ok(())
}

/// What is the same for all names of a place.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Identity {
    File(PathBuf),
    Remote(String),
}

fn is_hidden(path: &Path) -> bool {
    let is_part =
        path.file_name().is_some_and(|it| it.as_encoded_bytes().ends_with(b".etl-host-part"));
    is_part || place::is_name(path)
}

/// One path for each file, however it is spelled. `None` for what can't be written over: stdin, a
/// device.
fn identity(path: &Path) -> Option<PathBuf> {
    if path == Path::new("-") {
        return None;
    }
    match path.canonicalize() {
        Ok(path) => path.is_file().then_some(path),
        Err(_) => {
            let path = std::path::absolute(path).ok()?;
            let folder = path.parent()?;
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned()); // is made later
            Some(folder.join(path.file_name()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::RunArgs;
    use crate::cli::files;
    use crate::cli::services::ServiceArgs;
    use crate::spec::file::{Settings, parse};
    use std::fs;

    /// Why a pipeline in this folder can't be, as far as its files tell.
    fn refused(folder: &Path, text: &str) -> Result<(), String> {
        let settings = Settings { set: Default::default(), variables: &|_| None };
        let spec = parse(text, folder, &settings).unwrap();
        let (run, services) = (RunArgs::TRIAL, ServiceArgs::default());
        let lines_read = Default::default();
        let job = Job { spec, file: None, run: &run, services: &services, lines_read };
        let plan = files::plan(&job, &Services::default()).unwrap();
        refuse_to_overwrite(&job, &plan, &[], &Services::default()).map_err(|it| it.to_string())
    }

    #[test]
    fn two_tables_of_one_file_of_sqlite_are_not_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("in.ldjson"), "").unwrap();
        let two = |second: &str| {
            let text = format!(
                "[sources.a]\npath='in.ldjson'\n[sinks.o]\nfrom='a'\npath='sqlite:o.db'\ntable='t'\n\
                 [sinks.p]\nfrom='a'\npath='{second}'\ntable='u'\n"
            );
            refused(folder.path(), &text)
        };
        let told = two("sqlite:./o.db").unwrap_err();
        let expected = "the output of `p` and the output of `o` are tables of the same file";
        assert!(told.starts_with(expected), "{told}");
        two("sqlite:p.db").unwrap();
    }

    #[test]
    fn a_program_is_not_written_over_by_its_own_pipeline() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for name in ["in.ldjson", "p.jq", "when.jq", "s.json"] {
            fs::write(file(name), ".").unwrap();
        }
        let over = |path: &str| {
            let text = format!(
                "[sources.a]\npath='in.ldjson'\n[steps.x]\ntype='jq'\nfrom='a'\nfile='p.jq'\n\
                 [steps.y]\ntype='block'\nfrom='x'\nfile='when.jq'\nreason='r'\n\
                 [steps.z]\ntype='validate'\nfrom='y'\nschema='s.json'\n\
                 [sinks.o]\nfrom='z'\npath='{path}'\n"
            );
            refused(folder.path(), &text)
        };
        for (path, what) in [
            ("in.ldjson", "the input of `a`"),
            ("./p.jq", "the program of `x`"),
            ("when.jq", "the program of `y`"),
            ("s.json", "the schema of `z`"),
        ] {
            let told = over(path).unwrap_err();
            let expected = format!("the output of `o` and {what} are the same file");
            assert!(told.starts_with(&expected), "{told}");
        }
        over("out.ldjson").unwrap();
    }
}
