//! Weights, summed up by where llama.cpp puts them as a whole.

use std::collections::BTreeMap;

use crate::estimate::gguf::Tensor;

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    begin: u64,
    end: u64,
}

impl Stretch {
    fn and(self, other: Self) -> Self {
        Self { begin: self.begin.min(other.begin), end: self.end.max(other.end) }
    }
}

/// Tensors that lie on the same side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// What they weigh.
    pub bytes: u64,
    /// Of that, what a CPU keeps in an order of its own.
    pub repacked: u64,
    /// What the largest of them weighs.
    pub largest: u64,
    /// Where they lie, by file.
    all: BTreeMap<usize, Stretch>,
    /// Where those lie that are not kept in another order.
    plain: BTreeMap<usize, Stretch>,
}

impl Group {
    fn take(&mut self, file: usize, tensor: &Tensor) {
        self.bytes = self.bytes.saturating_add(tensor.bytes);
        self.largest = self.largest.max(tensor.bytes);
        let own = Stretch { begin: tensor.begins, end: tensor.begins.saturating_add(tensor.bytes) };
        grow(&mut self.all, file, own);
        if is_repacked(tensor) {
            self.repacked = self.repacked.saturating_add(tensor.bytes);
        } else {
            grow(&mut self.plain, file, own);
        }
    }
}

fn grow(stretches: &mut BTreeMap<usize, Stretch>, file: usize, own: Stretch) {
    stretches.entry(file).and_modify(|known| *known = known.and(own)).or_insert(own);
}

/// Whether a CPU works on this tensor in an order of its own: matrices, and stacks of experts, in whole eights of rows. The
/// embedding is looked up by row and stays.
fn is_repacked(tensor: &Tensor) -> bool {
    let rows = tensor.shape.get(1).copied().unwrap_or(1);
    tensor.kind.is_repacked() && rows > 1 && rows.is_multiple_of(8) && !tensor.name.starts_with("token_embd")
}

/// Where a tensor belongs, by its name (`src/llama-arch.cpp`).
enum Place {
    Input,
    Layer(usize),
    Experts(usize),
    Output,
}

fn place(name: &str, layers: usize) -> Place {
    const INPUT: &[&str] = &["token_embd", "token_types", "position_embd", "per_layer_token_embd"];
    if INPUT.iter().any(|start| name.starts_with(start)) {
        return Place::Input;
    }
    let Some((number, rest)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return Place::Output;
    };
    match number.parse::<usize>() {
        // Of `--cpu-moe`: `\.ffn_(up|down|gate|gate_up)_(ch|)exps`.
        Ok(layer) if layer < layers && rest.starts_with("ffn_") && rest.contains("exps") => Place::Experts(layer),
        Ok(layer) if layer < layers => Place::Layer(layer),
        Ok(_) | Err(_) => Place::Output,
    }
}

/// All weights of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weights {
    /// The embedding and what else is looked up by token: always on the host.
    pub input: Group,
    /// Layers without their experts.
    pub layers: Vec<Group>,
    /// The experts of each layer.
    pub experts: Vec<Group>,
    /// The output matrix, norms, and whatever belongs to no layer.
    pub output: Group,
    /// What the card holds of the embedding, where that is the output matrix as well.
    pub tied: u64,
}

impl Weights {
    /// Sums up the tensors of all files of a model.
    #[must_use]
    pub fn of(files: &[Vec<Tensor>], layers: u32) -> Self {
        let count = layers as usize;
        let empty = || vec![Group::default(); count];
        let mut all = Self { layers: empty(), experts: empty(), ..Self::default() };
        for (file, tensors) in files.iter().enumerate() {
            for tensor in tensors {
                let group = match place(&tensor.name, count) {
                    Place::Input => &mut all.input,
                    Place::Layer(n) => &mut all.layers[n],
                    Place::Experts(n) => &mut all.experts[n],
                    Place::Output => &mut all.output,
                };
                group.take(file, tensor);
            }
        }
        let named = |name: &str| files.iter().flatten().find(|tensor| tensor.name == name);
        if named("output.weight").is_none() {
            all.tied = named("token_embd.weight").map_or(0, |tensor| tensor.bytes);
        }
        all
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let groups = self.layers.iter().chain(&self.experts).chain([&self.input, &self.output]);
        groups.fold(0, |sum, group| sum.saturating_add(group.bytes))
    }
}

/// What lies on the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnHost {
    /// The weights themselves.
    pub bytes: u64,
    /// Of that, what is kept in another order.
    pub repacked: u64,
    /// What is mapped: from the first to the last tensor in each file, with whatever lies between
    /// (`get_mapping_range` in `src/llama-model-loader.cpp`).
    pub mapped: u64,
    /// The largest tensor.
    pub largest: u64,
}

/// Sums up what lies on the host, where a CPU may or may not keep it in an order of its own.
pub fn on_host<'a>(groups: impl IntoIterator<Item = &'a Group>, repack: bool) -> OnHost {
    let mut stretches: BTreeMap<usize, Stretch> = BTreeMap::new();
    let mut sum = OnHost::default();
    for group in groups {
        sum.bytes = sum.bytes.saturating_add(group.bytes);
        sum.largest = sum.largest.max(group.largest);
        if repack {
            sum.repacked = sum.repacked.saturating_add(group.repacked);
        }
        let mapped = if repack { &group.plain } else { &group.all };
        mapped.iter().for_each(|(file, own)| grow(&mut stretches, *file, *own));
    }
    sum.mapped = stretches.values().fold(0, |sum, own| sum.saturating_add(own.end - own.begin));
    sum
}
