//! `--hold`: which outputs can be sent now and appear later. Told before anything is opened.

use super::files::Plan;
use super::job::Job;
use crate::error::Error;
use crate::storage::location::{Location, is_stdout};
use crate::storage::services::Services;

/// Refuses to hold back what can't be.
pub(super) fn check(job: &Job<'_>, plan: &Plan, services: &Services) -> Result<(), Error> {
    let Some(ticket) = &job.run.hold else { return Ok(()) };
    let refused = |what: String, hint: &str| Error::Usage {
        message: format!("--hold is for one object in a store, and {what}"),
        hint: Some(hint.to_owned()),
    };
    if is_stdout(ticket) {
        return Err(Error::usage("--hold wants a file for its ticket, and not stdout"));
    }
    if plan.is_folder {
        return Err(refused(
            "the output is a folder".to_owned(),
            "name an object: --output s3://…",
        ));
    }
    let outputs: Vec<&Location> = plan.runs.iter().flat_map(|files| &files.outputs).collect();
    let [output] = outputs[..] else {
        let what = format!("there are {} outputs", outputs.len());
        return Err(refused(what, "a pipeline with one sink can be held back"));
    };
    let remote = match output {
        Location::Remote(remote) if services.database(output).is_none() => remote,
        Location::Stream => {
            return Err(refused("the output is stdout".to_owned(), "name it: --output s3://…"));
        }
        other => {
            let hint = "a file appears in one step already: write it under another name, and rename it \
                        when all are there";
            return Err(refused(format!("`{other}` is none"), hint));
        }
    };
    if remote.whole() != remote.to_string() {
        let hint = "credentials have a place in the environment, or in a file of services";
        let what = format!("`{output}` may hold a secret, which would stand in the ticket");
        return Err(refused(what, hint));
    }
    Ok(())
}
