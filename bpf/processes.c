// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which programs the run executes, and how its processes end: raw tracepoints sched_process_exec(task, old_pid, bprm)
 * and sched_process_exit(task). Nothing is stopped or held: user space looks at the executable while it runs.
 */
/* The number of a task's parent; 0 where it would be the kernel's and all others are those of our namespace. */
static inline_always u32 parent_of(u64 task)
{
	u32 number = 0;
#ifndef PID_NAMESPACE
	u64 parent = 0;

	READ_KERNEL(parent, task + OFFSET_TASK_STRUCT_REAL_PARENT);
	READ_KERNEL(number, parent + OFFSET_TASK_STRUCT_TGID);
#endif
	return number;
}

int on_sched_process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = ctx->args[0], bprm = ctx->args[2];
	u64 filename = 0, mm = 0, from = 0, to = 0, length;
	struct exec_event *event;
	u32 pid = current_process() >> 32;
	long got;

#ifdef TASKS_BY_PROCESS
	if (followed.lookup(&pid)) {
		u32 number = bpf_get_current_pid_tgid() >> 32;
		u8 yes = 1;

		followed.delete(&pid);
		traced_processes.update(&number, &yes);
	}
#endif
	if (!traced())
		return 0;
	layouts.delete(&pid); /* of the program that it was before */
	event = events.ringbuf_reserve(sizeof(struct exec_event));
	if (!event) {
		count(COUNTER_RING_FULL_PROCESS, 1);
		return 0;
	}
	fill_head(&event->head, EVENT_EXEC, sizeof(*event), current_process());
	event->parent = parent_of(task);
	READ_KERNEL(filename, bprm + OFFSET_LINUX_BINPRM_FILENAME);
	got = bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), (void *)filename);
	event->filename_length = got > 0 ? got - 1 : 0;
	READ_KERNEL(mm, task + OFFSET_TASK_STRUCT_MM);
	READ_KERNEL(from, mm + OFFSET_MM_STRUCT_ARG_START);
	READ_KERNEL(to, mm + OFFSET_MM_STRUCT_ARG_END);
	length = to - from;
	event->arguments_seen = length;
	if (length > sizeof(event->arguments))
		length = sizeof(event->arguments);
	asm volatile("" : "+r"(length));
	event->arguments_length = 0;
	if (length <= sizeof(event->arguments) && !read_user(event->arguments, length, from))
		event->arguments_length = length;
	events.ringbuf_submit(event, 0);
	return 0;
}

int on_sched_process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = ctx->args[0], signal = 0;
	struct exit_event *event;
	u32 pid = current_process() >> 32;
	s32 live = 0;
#ifdef TASKS_BY_PROCESS
	u32 number;
#endif

	if (!traced())
		return 0;
	/* Fires for each thread; the last one to go takes the process with it (the leader may have gone before). */
	READ_KERNEL(signal, task + OFFSET_TASK_STRUCT_SIGNAL);
	READ_KERNEL(live, signal + OFFSET_SIGNAL_STRUCT_LIVE);
	if (live != 0)
		return 0;
	layouts.delete(&pid);
#ifdef TASKS_BY_PROCESS
	number = bpf_get_current_pid_tgid() >> 32;
	traced_processes.delete(&number);
#endif
	event = events.ringbuf_reserve(sizeof(struct exit_event));
	if (!event) {
		count(COUNTER_RING_FULL_PROCESS, 1);
		return 0;
	}
	fill_head(&event->head, EVENT_EXIT, sizeof(*event), current_process());
	event->parent = parent_of(task);
	event->status = 0;
	READ_KERNEL(event->status, task + OFFSET_TASK_STRUCT_EXIT_CODE);
	events.ringbuf_submit(event, 0);
	return 0;
}

#ifdef TASKS_BY_PROCESS
/* (parent, child): fires for new threads as well, which have their process's number. */
int on_sched_process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 child = 0;
	u8 yes = 1;

	if (!traced())
		return 0;
	READ_KERNEL(child, ctx->args[1] + OFFSET_TASK_STRUCT_TGID);
	traced_processes.update(&child, &yes);
	return 0;
}
#endif
