//! The Huffman code of appendix B, decoding only.
//!
//! The code is canonical: codes go up with their length, then with the symbol. So the lengths say it
//! all, and the tables follow from them while this is compiled.

/// Looked up at once: two of the usual letters, or one of the codes up to this length. 16 KiB.
const ROOT_BITS: u32 = 12;

/// The longest code.
const LONGEST: usize = 30;

/// End of string. Must not be in one (section 5.2).
const EOS: u16 = 256;

/// How many bytes [`decode`] wants for so many of input: the shortest codes have 5 bits, and it
/// writes two at a time.
#[inline]
pub(crate) const fn room(input: usize) -> usize {
    input * 8 / 5 + 2
}

/// Decodes a string into `out`, which has [`room`] for it; how many bytes it has become, or `None`
/// if it is not valid.
pub(crate) fn decode(input: &[u8], out: &mut [u8]) -> Option<usize> {
    let (mut at, mut rest) = (Position { bits: 0, have: 0, len: 0 }, input);
    while let Some(word) = rest.first_chunk::<8>() {
        rest = &rest[at.refill(u64::from_be_bytes(*word), 8)..];
        // Of 56 bits two leave enough for any third. Always three: a loop that goes by what is left
        // is one that the processor guesses wrong.
        let _ = at.step(out)? && at.step(out)? && at.step(out)?;
    }
    while !rest.is_empty() {
        rest = &rest[at.refill(last_word(input, rest), rest.len())..];
        while at.have >= LONGEST as u32 {
            at.step(out)?;
        }
    }
    let Position { mut bits, mut have, mut len } = at;
    loop {
        let padded = bits | u64::MAX >> have;
        if padded == u64::MAX {
            // Seven ones begin no code but EOS (section 5.2).
            return (have < 8).then_some(len);
        }
        let root = ROOT[(padded >> (64 - ROOT_BITS)) as usize];
        let taken = if root == Root::LONG {
            let (symbol, length) = long(padded)?;
            *out.get_mut(len)? = symbol;
            len += 1;
            length
        } else if root.bits() <= have {
            out.get_mut(len..len + 2)?.copy_from_slice(&root.symbols());
            len += root.count();
            root.bits()
        } else {
            // The second one is padding.
            *out.get_mut(len)? = root.symbols()[0];
            len += 1;
            root.first_bits()
        };
        have = have.checked_sub(taken)?;
        bits <<= taken;
    }
}

/// Where in a string [`decode`] is.
struct Position {
    /// The next `have` bits, from the highest one down. Below them may already be bits of what comes
    /// next: they are ORed to themselves then. What comes behind the end are ones, as in its padding.
    bits: u64,
    have: u32,
    /// Of what is decoded.
    len: usize,
}

impl Position {
    /// Adds as many bytes of a word as there is room for, but no more than so many; their number.
    #[inline(always)]
    fn refill(&mut self, word: u64, most: usize) -> usize {
        let taken = most.min((63 - self.have as usize) / 8);
        self.bits |= word >> self.have;
        self.have += 8 * taken as u32;
        taken
    }

    /// Decodes one or two symbols, for which there have to be bits enough; `false` for a long one.
    #[inline(always)]
    fn step(&mut self, out: &mut [u8]) -> Option<bool> {
        let root = ROOT[(self.bits >> (64 - ROOT_BITS)) as usize];
        if root == Root::LONG {
            let (symbol, length) = long(self.bits)?;
            *out.get_mut(self.len)? = symbol;
            (self.bits, self.have, self.len) = (self.bits << length, self.have - length, self.len + 1);
            return Some(false);
        }
        out.get_mut(self.len..self.len + 2)?.copy_from_slice(&root.symbols());
        (self.bits, self.have) = (self.bits << root.bits(), self.have - root.bits());
        self.len += root.count();
        Some(true)
    }
}

/// The last bytes of the input, which are less than a word, and ones behind them.
#[inline]
fn last_word(input: &[u8], rest: &[u8]) -> u64 {
    let bits = 8 * rest.len() as u32;
    let word = match input.last_chunk::<8>() {
        Some(last) => u64::from_be_bytes(*last) << (64 - bits),
        None => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)) << (64 - bits),
    };
    word | u64::MAX >> bits
}

/// A code longer than the root's: at most 18 lengths to compare with, for more than 12 bits.
#[cold]
fn long(bits: u64) -> Option<(u8, u32)> {
    let code = (bits >> (64 - LONGEST)) as u32;
    let length = (ROOT_BITS as usize + 1..=LONGEST).find(|length| code < ORDER.end[*length])?;
    let nth = (code >> (LONGEST - length)).checked_sub(ORDER.first[length])?;
    let symbol = *ORDER.symbols.get(usize::from(ORDER.before[length]) + nth as usize)?;
    // Not EOS, that is.
    Some((u8::try_from(symbol).ok()?, length as u32))
}

/// What begins with some bits: how many bits it has (lowest, for that is what the next look-up waits
/// for), how many symbols, how many bits the first of them, and the symbols (two bytes).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Root(u32);

impl Root {
    /// The code is longer.
    const LONG: Root = Root(0);

    const fn new(first: u8, second: u8, first_bits: u32, bits: u32, count: u32) -> Self {
        Root(bits | count << 8 | first_bits << 12 | (first as u32) << 16 | (second as u32) << 24)
    }

    #[inline]
    const fn symbols(self) -> [u8; 2] {
        [(self.0 >> 16) as u8, (self.0 >> 24) as u8]
    }

    const fn first_bits(self) -> u32 {
        self.0 >> 12 & 15
    }

    #[inline]
    const fn bits(self) -> u32 {
        self.0 & 15
    }

    #[inline]
    const fn count(self) -> usize {
        (self.0 >> 8 & 3) as usize
    }
}

/// By length: its first code, how many symbols have shorter ones, and what is behind its last code,
/// as 30 bits. The symbols in the order of their codes.
struct Order {
    first: [u32; LONGEST + 1],
    before: [u16; LONGEST + 1],
    end: [u32; LONGEST + 1],
    symbols: [u16; 257],
}

static ORDER: Order = order();
static ROOT: [Root; 1 << ROOT_BITS] = roots();

const fn order() -> Order {
    let none = [0; LONGEST + 1];
    let mut order = Order { first: none, before: [0; LONGEST + 1], end: none, symbols: [EOS; 257] };
    let (mut length, mut code, mut count) = (1, 0, 0);
    while length <= LONGEST {
        code <<= 1;
        order.first[length] = code;
        order.before[length] = count as u16;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                order.symbols[count] = symbol as u16;
                count += 1;
                code += 1;
            }
            symbol += 1;
        }
        order.end[length] = code << (LONGEST - length);
        length += 1;
    }
    order
}

const fn roots() -> [Root; 1 << ROOT_BITS] {
    let mut singles = [Root::LONG; 1 << ROOT_BITS];
    let (order, mut length) = (order(), 1);
    while length <= ROOT_BITS {
        let (mut nth, spare) = (order.before[length as usize], ROOT_BITS - length);
        while nth < order.before[length as usize + 1] {
            let code = order.first[length as usize] + (nth - order.before[length as usize]) as u32;
            let mut at = code << spare;
            while at < (code + 1) << spare {
                singles[at as usize] = Root::new(order.symbols[nth as usize] as u8, 0, length, length, 1);
                at += 1;
            }
            nth += 1;
        }
        length += 1;
    }
    let (mut roots, mut at) = (singles, 0);
    while at < singles.len() {
        let first = singles[at];
        let second = singles[(at << first.bits()) & ((1 << ROOT_BITS) - 1)];
        let bits = first.bits() + second.bits();
        if first.count() == 1 && second.count() == 1 && bits <= ROOT_BITS {
            roots[at] = Root::new(first.symbols()[0], second.symbols()[0], first.bits(), bits, 2);
        }
        at += 1;
    }
    roots
}

/// The length of each symbol's code, EOS the last.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23,
    23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22,
    22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26,
    27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
    25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// For tests: encoding by the same lengths.
#[cfg(test)]
pub(crate) fn encode(input: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    for byte in input {
        let (code, length) = tests::code(u16::from(*byte));
        bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    }
    while bits.len() % 8 != 0 {
        bits.push(true);
    }
    bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

#[cfg(test)]
mod tests;
