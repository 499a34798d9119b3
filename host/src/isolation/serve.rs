//! The worker's side: opens the plugin that its host names, loads a model, and answers calls until the
//! socket ends.
//!
//! The socket is stdin, moved out of the plugin's reach first. What the plugin prints goes to the pipe
//! that stdout and stderr are. The host checks the answers; nothing is checked here.

use super::area::{Area, Part};
use super::protocol::{
    ANSWERED, Asked, CALL, NEXT, Opening, Order, PIECE, Reply, piece, write_answer,
};
use super::wire::Wire;
use crate::causes::chain;
use crate::plugin::image::Sealed;
use crate::plugin::runner::{Ask, forget};
use crate::plugin::{Image, LoadedModel, Plugin, PluginError, Selector};
use crate::sandbox::{self, Grants};
use crate::step::STACK_BYTES;
use model_abi_layout::Answer;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;

/// Does all that a worker does. Returns when the host is gone, or wants no more.
pub fn serve() -> io::Result<()> {
    let mut wire = Wire::of(take_stdin()?);
    let Some((order, files)) = wire.receive_with()? else { return Ok(()) };
    let Order::Open(opening) = serde_json::from_slice(&order)? else {
        return Err(io::Error::other("the plugin comes first"));
    };
    let mut files = files.into_iter();
    let area = Area::of(files.next().ok_or_else(|| io::Error::other("no shared memory"))?)?;
    let image = image(&opening, files)?;
    let grants = Grants { read: opening.may_read };
    match sandbox::enter(opening.sandbox, &grants, opening.memory_bytes_max) {
        Ok(mut entered) => {
            wire.send(&serde_json::to_vec(&Reply::Entered)?)?;
            sandbox::hand_over(wire.fd(), &mut entered)?;
        }
        Err(error) => {
            let (reason, hint) = (chain(&error), error.hint());
            return wire.send(&serde_json::to_vec(&Reply::Refused { reason, hint })?);
        }
    }
    let serving = thread::Builder::new().name("model".to_owned()).stack_size(STACK_BYTES);
    let serving = serving.spawn(move || Serving { wire, area }.serve(&image))?;
    serving.join().unwrap_or_else(|_| Err(io::Error::other("the worker panicked")))
}

/// The plugin that is to be opened: on disk, or what the host holds of it.
fn image(opening: &Opening, mut files: impl Iterator<Item = OwnedFd>) -> io::Result<Image> {
    let Some(names) = &opening.held else { return Ok(Image::on_disk(&opening.path)) };
    let mut sealed = || {
        let file = files.next().ok_or_else(|| io::Error::other("what is held was lost"))?;
        Sealed::try_from(File::from(file))
    };
    let plugin = sealed()?;
    let files = names.iter().map(|name| Ok((name.clone(), sealed()?)));
    Ok(Image::held(&opening.path, plugin).with_files(files.collect::<io::Result<_>>()?))
}

/// Our own stdin; the process's is empty from now on.
fn take_stdin() -> io::Result<OwnedFd> {
    let ours = fcntl_dupfd_cloexec(stdio::stdin(), 3)?;
    let null = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    stdio::dup2_stdin(null)?;
    Ok(ours)
}

struct Serving {
    wire: Wire,
    area: Area,
}

impl Serving {
    fn serve(mut self, image: &Image) -> io::Result<()> {
        let plugin = match Plugin::open_image(image) {
            Ok(plugin) => plugin,
            Err(error) => return self.reply(&refused(&error)),
        };
        self.reply(&Reply::Opened(plugin.models().to_vec()))?;
        let Some(order) = self.wire.receive()? else { return Ok(()) };
        let Order::Load { model, config } = serde_json::from_slice(&order)? else {
            return Err(io::Error::other("the model comes next"));
        };
        let model = Selector { name: model, major: None, minor: None };
        let model = match plugin.load(Some(&model), &config, 1) {
            Ok(model) => model,
            Err(error) => return self.reply(&refused(&error)),
        };
        self.reply(&Reply::Loaded(model.report().clone()))?;
        self.answer(&model)
    }

    fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        self.wire.send(&serde_json::to_vec(reply)?)
    }

    fn answer(&mut self, model: &LoadedModel) -> io::Result<()> {
        let (mut pieces, mut scratch) = (Vec::new(), Vec::new());
        let mut answer = Answer::default();
        while let Some(turn) = self.wire.receive()? {
            match &*turn {
                PIECE => {
                    let piece = piece(&self.area, Part::Request);
                    pieces.extend_from_slice(self.area.request(piece));
                    self.wire.send(NEXT)?;
                    continue;
                }
                CALL => {}
                _ => return Err(io::Error::other("a turn that is none")),
            }
            let (asked, bytes) = Asked::read(&self.area, &mut pieces);
            let Asked { spans, output_bytes_max, trace } = &asked;
            let (output_bytes_max, trace) = (*output_bytes_max, *trace);
            let ask = Ask { bytes, records: spans, output_bytes_max, trace, is_search: false };
            forget(&mut answer);
            let status = model.call_watched(&ask, Some(self.area.control()), &mut answer);
            pieces = Vec::new();
            let (wire, area) = (&mut self.wire, &self.area);
            write_answer(area, (status, &answer), &mut scratch, || {
                wire.send(PIECE)?;
                match wire.receive()?.as_deref() {
                    Some(NEXT) => Ok(()),
                    _ => Err(io::Error::other("the host takes no more")),
                }
            })?;
            self.wire.send(ANSWERED)?;
        }
        Ok(())
    }
}

fn refused(error: &PluginError) -> Reply {
    Reply::Refused { reason: chain(error), hint: error.hint() }
}
