# Folded stacks (inferno-collapse-perf) → which part has which share. For scripts/profile.sh.
# In the kernel the part is the system call; in user space it is the crate of the innermost function.
{
    count = $NF
    sub(/ [0-9]+$/, "")
    depth = split($0, frame, ";")
    leaf = frame[depth]
    part = ""
    for (i = 1; i <= depth; i++)
        if (match(frame[i], /^__(x64|arm64)_sys_[a-z0-9_]+/)) {
            part = "kernel: " substr(frame[i], RSTART, RLENGTH)
            sub(/__(x64|arm64)_sys_/, "", part)
        } else if (frame[i] ~ /^(entry_SYSCALL|asm_sysvec|asm_exc|el0)/ && part == "")
            part = "kernel: other"
    if (part == "") {
        # <a::b::C as d::E>::f and d::e::f belong to the first crate that is named.
        name = leaf
        gsub(/^[<&*( ]+/, "", name)
        sub(/^(mut|dyn) /, "", name)
        if (name ~ /^(mi_|_mi_)/) part = "memory (mimalloc)"
        else if (name ~ /^(__mem|__mov)/) part = "copying (libc)"
        else if (name ~ /clock_gettime/) part = "clock"
        else if (match(name, /^[a-z_0-9]+::/)) part = "user: " substr(name, 1, RLENGTH - 2)
        else part = "user: other"
    }
    share[part] += count
    total += count
}
END {
    for (part in share)
        if (share[part] / total >= 0.002) printf "%5.1f %%  %s\n", 100 * share[part] / total, part
}
