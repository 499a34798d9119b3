//! Makes the kernel's program out of the table of calls, and asks the kernel to run it on each call.
//!
//! By hand, in the kernel's own few instructions: the crates that write such programs know no
//! notifications, without which nobody would learn what a model tried. The kernel runs the program
//! once for each call that takes no test of arguments and remembers that it is allowed, so that
//! reading, writing and locks cost nothing.
//!
//! The trap: jumps reach 255 instructions at most; so each call's part is jumped over, one at a
//! time, and has its own ends.

use super::calls::{self, Rule, Then, When};
use libc::{c_long, sock_filter};
use std::collections::BTreeMap;
use std::mem::offset_of;

/// What the kernel calls the machine that this program is for; 0 where the table of calls was not
/// thought through for it.
pub(super) const MACHINE: u32 = if cfg!(target_endian = "big") {
    0
} else if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else {
    0
};
/// Whether calls can be judged on it.
pub(super) const KNOWS_MACHINE: bool = MACHINE != 0;
/// Calls by another table of numbers, with 32-bit pointers, have this bit.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// An instruction; where it is a test, how many of the next are left out if it holds, and if not.
fn instruction(code: u32, value: u32, holds: usize, fails: usize) -> sock_filter {
    let short = |jump: usize| u8::try_from(jump).expect("a call's part is short");
    sock_filter { code: code as u16, jt: short(holds), jf: short(fails), k: value }
}

fn plain(code: u32, value: u32) -> sock_filter {
    instruction(code, value, 0, 0)
}

fn fail(errno: i32) -> sock_filter {
    plain(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32)
}

fn allow() -> sock_filter {
    plain(RETURN, libc::SECCOMP_RET_ALLOW)
}

/// The program for a table. `told`: the host is told of what the table says it is told of.
pub(super) fn program(table: &[Rule], told: bool) -> Vec<sock_filter> {
    let tell_or = |otherwise| {
        if told { plain(RETURN, libc::SECCOMP_RET_USER_NOTIF) } else { otherwise }
    };
    let verdict = |then: Then| match then {
        Then::Quietly(errno) => fail(errno),
        Then::Stop(errno) => tell_or(fail(errno)),
        Then::IfOwn(_) => tell_or(fail(libc::EPERM)),
        Then::Look => tell_or(allow()),
    };
    let foreign = tell_or(fail(libc::EPERM));
    let mut program = vec![
        plain(LOAD, offset_of!(libc::seccomp_data, arch) as u32),
        instruction(EQUAL, MACHINE, 1, 0),
        foreign,
        plain(LOAD, offset_of!(libc::seccomp_data, nr) as u32),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([instruction(GREATER, X32 - 1, 0, 1), foreign]);
    program.extend([instruction(GREATER, calls::NEWEST, 0, 1), fail(libc::ENOSYS)]);

    let mut by_call: BTreeMap<c_long, Vec<&Rule>> = BTreeMap::new();
    for rule in table {
        by_call.entry(rule.call).or_default().push(rule);
    }
    for (call, rules) in by_call {
        let mut part: Vec<_> =
            rules.iter().flat_map(|rule| judged(&rule.when, verdict(rule.then))).collect();
        part.push(allow());
        program.push(instruction(EQUAL, call as u32, 0, part.len()));
        program.extend(part);
    }
    program.push(allow());
    program
}

/// Returns the verdict where the arguments are so, and goes on behind itself where not.
fn judged(when: &When, verdict: sock_filter) -> Vec<sock_filter> {
    let (arg, mask, values, among) = match when {
        When::Always => return vec![verdict],
        When::Among(arg, mask, values) => (arg, mask, values, true),
        When::NotAmong(arg, mask, values) => (arg, mask, values, false),
    };
    // The lower half stands first on these machines.
    let place = offset_of!(libc::seccomp_data, args) + 8 * arg;
    let mut part = vec![plain(LOAD, place as u32), plain(AND, *mask)];
    for (index, value) in values.iter().enumerate() {
        // Where it holds: over the tests that are left and what stands behind them, to the verdict
        // or past it.
        part.push(instruction(EQUAL, *value, values.len() - index, 0));
    }
    if among {
        part.push(plain(JUMP, 1));
    }
    part.push(verdict);
    part
}

#[cfg(test)]
mod tests {
    use super::super::calls::table;
    use super::*;
    use proptest::prelude::*;

    /// What the kernel would return: its few instructions, run one by one.
    fn run(program: &[sock_filter], machine: u32, call: u32, args: [u64; 6]) -> u32 {
        let mut bytes = Vec::from(call.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(args.iter().flat_map(|arg| arg.to_le_bytes()));
        let (mut at, mut value) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            at += 1;
            match u32::from(code) {
                LOAD => {
                    let word = &bytes[k as usize..k as usize + 4];
                    value = u32::from_le_bytes(word.try_into().unwrap());
                }
                AND => value &= k,
                EQUAL => at += jump(value == k),
                GREATER => at += jump(value > k),
                JUMP => at += k as usize,
                RETURN => return k,
                code => panic!("{code}"),
            }
        }
    }

    /// What the table says.
    fn expected(table: &[Rule], told: bool, call: u32, args: &[u64; 6]) -> u32 {
        let errno = |errno: i32| libc::SECCOMP_RET_ERRNO | errno as u32;
        let fits = |rule: &&Rule| rule.call == c_long::from(call) && rule.when.holds(args);
        match table.iter().find(fits).map(|rule| rule.then) {
            _ if call > calls::NEWEST => errno(libc::ENOSYS),
            None => libc::SECCOMP_RET_ALLOW,
            Some(Then::Quietly(error)) => errno(error),
            Some(_) if told => libc::SECCOMP_RET_USER_NOTIF,
            Some(Then::Look) => libc::SECCOMP_RET_ALLOW,
            Some(Then::Stop(error)) => errno(error),
            Some(Then::IfOwn(_)) => errno(libc::EPERM),
        }
    }

    proptest! {
        #[test]
        fn the_program_says_what_the_table_says(
            rule in any::<prop::sample::Index>(),
            other in 0u32..500,
            (told, files_held, of_rule) in any::<(bool, bool, bool)>(),
            args in prop::array::uniform6(prop_oneof![
                any::<u64>(), 0u64..32, Just(77u64), Just(u64::MAX), Just(u64::from(u32::MAX)),
            ]),
            hit in any::<prop::sample::Index>(),
        ) {
            let table = table(77, files_held);
            let rule = &table[rule.index(table.len())];
            let call = if of_rule { rule.call as u32 } else { other };
            let mut args = args;
            if let When::Among(arg, _, values) | When::NotAmong(arg, _, values) = &rule.when {
                args[*arg] = (args[*arg] & !0xffff_ffff) | u64::from(*hit.get(values));
            }
            let program = program(&table, told);
            prop_assert_eq!(run(&program, MACHINE, call, args), expected(&table, told, call, &args));
        }
    }

    #[test]
    fn calls_of_other_kinds_of_machine_are_refused() {
        let program = program(&table(77, true), false);
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        assert_eq!(run(&program, 0x4000_0003, 20, [0; 6]), refused);
        assert!(program.len() < 4096, "the kernel takes no more");
    }
}
