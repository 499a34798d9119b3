//! The ways that the records of a batch go through a pipeline: how they part and come together. On a fork
//! no text is copied, and the order is always that of the records that were read.

use super::{Batch, Block, Text, slice};
use model_abi_layout::Span;
use std::sync::Arc;

/// The records on one way through the pipeline. On a fork, both ways share their text.
#[derive(Clone, Default)]
pub(crate) struct Flow {
    /// What they are now, once a step has rewritten them.
    pub(super) text: Option<Arc<Text>>,
    /// Whether they are all that is in the text, in its order.
    pub(super) is_whole: bool,
    pub(super) spans: Vec<Span>,
    /// For each of them its index among the records that were read; in order, and several may be made
    /// of one.
    pub(super) origins: Vec<u32>,
}

impl Flow {
    /// All records of a text that knows their origins, in the buffers of a flow before.
    pub(super) fn whole(mut text: Text, mut buffers: Flow) -> Self {
        buffers.spans.clone_from(&text.spans);
        std::mem::swap(&mut buffers.origins, &mut text.sources);
        Flow { text: Some(Arc::new(text)), is_whole: true, ..buffers }
    }

    pub(super) fn clear(&mut self) -> Option<Text> {
        self.spans.clear();
        self.origins.clear();
        self.is_whole = false;
        self.text.take().and_then(Arc::into_inner)
    }

    pub(super) fn bytes<'a>(&'a self, block: &'a Block) -> &'a [u8] {
        self.text.as_ref().map_or(&block.bytes, |text| &text.bytes)
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// For each record its index among those that were read.
    pub(crate) fn origins(&self) -> &[u32] {
        &self.origins
    }
}

impl Batch {
    /// The records are on their way elsewhere: the next step takes none, or others.
    pub(crate) fn take_flow(&mut self) -> Flow {
        std::mem::take(&mut self.flow)
    }

    /// The next step takes these records.
    pub(crate) fn set_flow(&mut self, flow: Flow) {
        self.kept = flow.len();
        self.flow = flow;
    }

    /// Nobody takes these records.
    pub(crate) fn drop_flow(&mut self, mut flow: Flow) {
        self.spares.extend(flow.clear());
    }

    /// What the last step put aside.
    pub(crate) fn take_aside(&mut self) -> Flow {
        self.aside.take().unwrap_or_default()
    }

    /// Several flows as one, record by record; of one record, in the order of the flows.
    pub(crate) fn merge(&mut self, mut flows: Vec<Flow>) -> Flow {
        flows.retain(|flow| flow.len() > 0);
        if flows.len() <= 1 {
            return flows.pop().unwrap_or_default();
        }
        let text_of = |flow: &Flow| flow.text.as_ref().map(Arc::as_ptr);
        let are_shared = flows.iter().all(|flow| text_of(flow) == text_of(&flows[0]));
        let mut next = vec![0; flows.len()];
        let in_order = std::iter::from_fn(|| {
            let waiting = flows.iter().zip(&next).enumerate();
            let waiting = waiting.filter_map(|(i, (flow, &at))| Some((*flow.origins.get(at)?, i)));
            let (origin, i) = waiting.min()?;
            let span = flows[i].spans[next[i]];
            next[i] += 1;
            Some((origin, &flows[i], span))
        });
        if are_shared {
            let (origins, spans) = in_order.map(|(origin, _, span)| (origin, span)).unzip();
            return Flow { text: flows[0].text.clone(), is_whole: false, spans, origins };
        }
        let mut text = self.new_text();
        for (origin, flow, span) in in_order {
            text.buffer().extend_from_slice(slice(flow.bytes(&self.block), span));
            text.complete(origin as usize);
        }
        Flow::whole(text, Flow::default())
    }

    /// What several branches made of each record, as an object with a field for each branch: null where
    /// it made none, an array where it made several. `names` are the fields' as JSON.
    pub(crate) fn join(&mut self, flows: &[Flow], names: &[String]) -> Flow {
        let mut next = vec![0; flows.len()];
        let mut text = self.new_text();
        loop {
            let waiting = flows.iter().zip(&next).filter_map(|(flow, &at)| flow.origins.get(at));
            let Some(&origin) = waiting.min() else { break };
            for (i, (flow, name)) in flows.iter().zip(names).enumerate() {
                let at = next[i];
                next[i] += flow.origins[at..].iter().take_while(|&&it| it == origin).count();
                let records = &flow.spans[at..next[i]];
                let bytes = flow.bytes(&self.block);
                let out = text.buffer();
                out.extend_from_slice(if i == 0 { b"{" } else { b"," });
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
                match records {
                    [] => out.extend_from_slice(b"null"),
                    [record] => out.extend_from_slice(slice(bytes, *record)),
                    several => {
                        for (i, record) in several.iter().enumerate() {
                            out.push(if i == 0 { b'[' } else { b',' });
                            out.extend_from_slice(slice(bytes, *record));
                        }
                        out.push(b']');
                    }
                }
            }
            text.buffer().push(b'}');
            text.complete(origin as usize);
        }
        Flow::whole(text, Flow::default())
    }
}
