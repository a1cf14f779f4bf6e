//! Which rules leave which function, looked up once: a file may have
//! thousands, and they are needed for every message.

use super::model::{Chain, Rule};

/// Indices of rules, by function.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    of_outputs: Vec<Vec<usize>>,
    of_failed: Vec<Vec<usize>>,
}

impl Rules {
    /// The rules of a chain.
    pub fn of(chain: &Chain) -> Self {
        let none = vec![Vec::new(); chain.functions.len()];
        let mut rules = Self { of_outputs: none.clone(), of_failed: none };
        for (index, rule) in chain.rules.iter().enumerate() {
            let table = if rule.on_dead { &mut rules.of_failed } else { &mut rules.of_outputs };
            for function in &rule.from {
                table[*function].push(index);
            }
        }
        rules
    }

    /// Rules for what a function makes, or with `on_dead` for what failed in
    /// it, in the order of the file.
    pub fn on<'a>(
        &self,
        chain: &'a Chain,
        function: usize,
        on_dead: bool,
    ) -> Vec<(usize, &'a Rule)> {
        let table = if on_dead { &self.of_failed } else { &self.of_outputs };
        let indices = table.get(function).into_iter().flatten();
        indices.map(|index| (*index, &chain.rules[*index])).collect()
    }
}
