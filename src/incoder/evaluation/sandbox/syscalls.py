"""The system calls that a program may not make, with their numbers by machine.

Numbers are those of Linux's tables (arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h); None where a machine has no such call. Commands have one number on both.
"""

X86_64, AARCH64 = "x86_64", "aarch64"
AUDIT_ARCHITECTURES = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
X32_BIT = 0x40000000  # a second table of x86_64, by whose numbers no check here would be met

# Name: number on x86_64, on aarch64.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # other processes: to make them, to look into them, to signal them, to say where and when they run
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    # what processes share by name or number, which stays when they have ended
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # the network
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    # what Landlock does not cover of the file system
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "quotactl": (179, 60),
    # other worlds, and back doors into this one
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # the machine
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
    "setrlimit": (160, 164),
}
CLONE, CLONE_THREAD = (56, 220), 0x00010000  # allowed for threads
CLONE3 = (435, 435)  # "not there", or the C library would not fall back on clone for threads
KILL, TGKILL = (62, 129), (234, 131)  # allowed for one's own process, as abort() does it
PRLIMIT64 = (302, 261)  # allowed to ask, not to set
FCNTL, IOCTL = (72, 25), (16, 29)  # allowed but for these commands
FCNTL_COMMANDS = {
    "F_SETOWN": 8,  # signals to others
    "F_SETSIG": 10,
    "F_SETOWN_EX": 15,
    "F_SETLEASE": 1024,  # others wait when they open the file
}
IOCTL_COMMANDS = {
    "FIOSETOWN": 0x8901,
    "SIOCSPGRP": 0x8902,
    "FS_IOC_SETFLAGS": 0x40086602,
    "FS_IOC_FSSETXATTR": 0x401C5820,
}

# Landlock before its third version lets every file be cut that can be read.
TRUNCATE, OPENAT2 = (76, 45), (437, 437)
OPEN, OPENAT = (2, None), (257, 56)  # allowed, but not to cut a file that is opened for reading
OPEN_MASK, CUT_WHILE_READING = 0x203, 0x200  # O_TRUNC | O_ACCMODE; O_TRUNC | O_RDONLY
