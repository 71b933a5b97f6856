/* SPDX-License-Identifier: Apache-2.0
 *
 * linkem: links with delay, loss and rate in user space, for kernels without sch_netem.
 *
 * One process serves all links of a network. It makes a network namespace of its own; the network
 * builder puts the far ends of two veth pairs there for each link, and linkem carries frames
 * between them:
 *
 *     switch port ==veth== far end A   [ linkem ]   far end B ==veth== switch port
 *
 * Each direction is a FIFO. A frame that arrives at time t leaves at
 *     max(t, time the transmitter is free) + bits / rate, + delay
 * and is lost with the given probability, or if the direction already holds `limit` frames.
 * As with netem, bits count the Ethernet frame without preamble, check sequence or gap.
 *
 * Control, on standard input, one line each; every line is answered by `ok ...` or `error ...`:
 *     link ID IF_A IF_B DELAY_US LOSS_PPM RATE_BPS LIMIT SEED     (RATE_BPS 0: no limit)
 *     set ID DELAY_US LOSS_PPM RATE_BPS LIMIT
 *     stats ID          -> ok A->B received sent lost dropped B->A received sent lost dropped
 * End of standard input ends the process, and with it the namespace and the interfaces in it: no
 * emulator outlives the program that started it.
 *
 * Frames pass unchanged: a VLAN tag that the kernel moved beside the frame is put back, and
 * checksums that the sender left to a network card (with GSO also the segmentation) travel as the
 * virtio header that describes them (PACKET_VNET_HDR).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_LINKS = 1024,
	BATCH = 32,
	HEADER = sizeof(struct virtio_net_hdr),
	VLAN_BYTES = 4,
	MAX_FRAME = 65536 + ETH_HLEN + VLAN_BYTES, /* a GSO frame */
	SOCKET_BUFFER = 32 << 20,
	CONTROL = -1, /* epoll data: not a socket of a link */
	TIMER = -2,
};
static const uint64_t NS = 1000000000ull;
/* Kernel stamps older than this come from a stepped clock and are not believed. */
static const int64_t MAX_LATENESS_NS = 1000000000ll;

struct frame {
	struct frame *next;
	uint64_t due_ns;
	uint32_t bytes; /* with the virtio header */
	uint8_t data[];
};

/* One direction of a link: in at one end, out at the other. */
struct direction {
	int in, out; /* packet sockets */
	uint64_t delay_ns, loss_ppm, rate_bps, limit;
	uint64_t random;
	uint64_t free_ns;     /* when the transmitter has sent everything accepted so far */
	uint64_t last_due_ns; /* frames keep their order when the delay shrinks */
	struct frame *head, **tail;
	uint64_t held, received, sent, lost, dropped;
};

struct link {
	char id[32];
	struct direction direction[2];
};

static struct link *links[MAX_LINKS];
static int link_count;
static int poll_fd, timer_fd;
static uint64_t armed_ns;
static uint8_t buffers[BATCH][HEADER + MAX_FRAME];

static uint64_t clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

/* splitmix64: uniform, and the same sequence for the same seed on every machine. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Put the tag that the kernel took out of the frame back behind the MAC addresses. */
static uint32_t restore_vlan(uint8_t *data, uint32_t bytes, const struct tpacket_auxdata *aux)
{
	struct virtio_net_hdr *header = (void *)data;
	uint8_t *at = data + HEADER + 2 * ETH_ALEN;
	uint16_t tpid = htons(aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETH_P_8021Q);
	uint16_t tci = htons(aux->tp_vlan_tci);

	memmove(at + VLAN_BYTES, at, bytes - HEADER - 2 * ETH_ALEN);
	memcpy(at, &tpid, 2);
	memcpy(at + 2, &tci, 2);
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		header->csum_start += VLAN_BYTES;
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		header->hdr_len += VLAN_BYTES;
	return bytes + VLAN_BYTES;
}

static void accept_frame(struct direction *d, const uint8_t *data, uint32_t bytes, uint64_t now)
{
	uint64_t start, due;
	struct frame *frame;

	d->received++;
	if (random_next(&d->random) % 1000000 < d->loss_ppm) {
		d->lost++;
		return;
	}
	if (d->held >= d->limit || !(frame = malloc(sizeof(*frame) + bytes))) {
		d->dropped++;
		return;
	}
	start = now > d->free_ns ? now : d->free_ns;
	d->free_ns = start + (d->rate_bps ? (bytes - HEADER) * 8 * NS / d->rate_bps : 0);
	due = d->free_ns + d->delay_ns;
	if (due < d->last_due_ns)
		due = d->last_due_ns;
	d->last_due_ns = due;
	frame->next = NULL;
	frame->due_ns = due;
	frame->bytes = bytes;
	memcpy(frame->data, data, bytes);
	*d->tail = frame;
	d->tail = &frame->next;
	d->held++;
}

/* Read what waits at one end. Time counts from the kernel's stamp, not from our being scheduled. */
static void receive(struct direction *d)
{
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	char control[BATCH][CMSG_SPACE(sizeof(struct tpacket_auxdata)) + CMSG_SPACE(sizeof(struct timespec))];
	uint64_t now, wall;
	int count, i;

	memset(messages, 0, sizeof(messages));
	for (i = 0; i < BATCH; i++) {
		parts[i].iov_base = buffers[i];
		parts[i].iov_len = sizeof(buffers[i]) - VLAN_BYTES;
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1,
			.msg_control = control[i], .msg_controllen = sizeof(control[i]) };
	}
	count = recvmmsg(d->in, messages, BATCH, MSG_DONTWAIT, NULL);
	now = clock_ns(CLOCK_MONOTONIC);
	wall = clock_ns(CLOCK_REALTIME);
	for (i = 0; i < count; i++) {
		struct msghdr *message = &messages[i].msg_hdr;
		uint32_t bytes = messages[i].msg_len;
		uint64_t arrival = now;
		struct cmsghdr *c;

		if (bytes < HEADER + ETH_HLEN || message->msg_flags & MSG_TRUNC)
			continue;
		for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
			if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
				struct tpacket_auxdata aux;

				memcpy(&aux, CMSG_DATA(c), sizeof(aux));
				if (aux.tp_status & TP_STATUS_VLAN_VALID)
					bytes = restore_vlan(buffers[i], bytes, &aux);
			} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
				struct timespec stamp;
				int64_t late;

				memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
				late = (int64_t)(wall - (stamp.tv_sec * NS + stamp.tv_nsec));
				if (late > 0 && late < MAX_LATENESS_NS)
					arrival = now - late;
			}
		}
		accept_frame(d, buffers[i], bytes, arrival);
	}
}

/* Send every frame that is due; a down interface swallows it, as a cut cable would. */
static void send_due(struct direction *d, uint64_t now)
{
	while (d->head && d->head->due_ns <= now) {
		struct mmsghdr messages[BATCH];
		struct iovec parts[BATCH];
		struct frame *frame = d->head;
		int count = 0, done, i;

		memset(messages, 0, sizeof(messages));
		for (; frame && frame->due_ns <= now && count < BATCH; frame = frame->next, count++) {
			parts[count] = (struct iovec){ frame->data, frame->bytes };
			messages[count].msg_hdr.msg_iov = &parts[count];
			messages[count].msg_hdr.msg_iovlen = 1;
		}
		done = sendmmsg(d->out, messages, count, 0);
		if (done <= 0) {
			if (done < 0 && errno == EINTR)
				continue;
			done = 1; /* the first one cannot be sent */
			d->dropped++;
		} else {
			d->sent += done;
		}
		for (i = 0; i < done; i++) {
			frame = d->head;
			d->head = frame->next;
			free(frame);
			d->held--;
		}
		if (!d->head)
			d->tail = &d->head;
	}
}

static int open_end(const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd, one = 1, size = SOCKET_BUFFER;

	address.sll_ifindex = if_nametoindex(name);
	if (!address.sll_ifindex)
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: silent until bound */
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) ||
	    bind(fd, (void *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool watch(int fd, int data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = data };

	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static struct link *find(const char *id)
{
	for (int i = 0; i < link_count; i++)
		if (!strcmp(links[i]->id, id))
			return links[i];
	return NULL;
}

static void impair(struct link *link, uint64_t delay_us, uint64_t loss_ppm, uint64_t rate_bps, uint64_t limit)
{
	for (int i = 0; i < 2; i++) {
		link->direction[i].delay_ns = delay_us * 1000;
		link->direction[i].loss_ppm = loss_ppm;
		link->direction[i].rate_bps = rate_bps;
		link->direction[i].limit = limit;
	}
}

static const char *add_link(const char *id, const char *a, const char *b, uint64_t seed)
{
	struct link *link;
	int end[2];

	if (link_count == MAX_LINKS)
		return "too many links";
	if (find(id))
		return "there is a link of that name";
	end[0] = open_end(a);
	end[1] = open_end(b);
	link = calloc(1, sizeof(*link));
	if (end[0] < 0 || end[1] < 0 || !link) {
		const char *reason = strerror(errno);

		close(end[0]);
		close(end[1]);
		free(link);
		return reason;
	}
	snprintf(link->id, sizeof(link->id), "%s", id);
	for (int i = 0; i < 2; i++) {
		struct direction *d = &link->direction[i];

		d->in = end[i];
		d->out = end[!i];
		d->random = seed * 2 + i;
		d->tail = &d->head;
		if (!watch(d->in, 2 * link_count + i))
			return strerror(errno);
	}
	links[link_count++] = link;
	return NULL;
}

static void command(const char *line)
{
	unsigned long long delay, loss, rate, limit, seed;
	char id[32], a[32], b[32];
	const char *problem = NULL;
	struct link *link;

	if (sscanf(line, "link %31s %31s %31s %llu %llu %llu %llu %llu", id, a, b, &delay, &loss, &rate, &limit,
		   &seed) == 8) {
		problem = add_link(id, a, b, seed);
		if (!problem)
			impair(find(id), delay, loss, rate, limit);
	} else if (sscanf(line, "set %31s %llu %llu %llu %llu", id, &delay, &loss, &rate, &limit) == 5) {
		link = find(id);
		if (link)
			impair(link, delay, loss, rate, limit);
		else
			problem = "no such link";
	} else if (sscanf(line, "stats %31s", id) == 1) {
		link = find(id);
		if (link) {
			printf("ok");
			for (int i = 0; i < 2; i++) {
				struct direction *d = &link->direction[i];

				printf(" %llu %llu %llu %llu", (unsigned long long)d->received,
				       (unsigned long long)d->sent, (unsigned long long)d->lost,
				       (unsigned long long)d->dropped);
			}
			printf("\n");
			return;
		}
		problem = "no such link";
	} else {
		problem = "unknown command";
	}
	if (problem)
		printf("error %s\n", problem);
	else
		printf("ok\n");
}

/* Read control lines; false at the end of input. */
static bool control(void)
{
	static char text[4096];
	static size_t used;
	ssize_t got = read(STDIN_FILENO, text + used, sizeof(text) - 1 - used);
	char *start = text, *end;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0)
		return false;
	used += got;
	text[used] = 0;
	while ((end = strchr(start, '\n'))) {
		*end = 0;
		command(start);
		start = end + 1;
	}
	fflush(stdout);
	used -= start - text;
	memmove(text, start, used);
	return used < sizeof(text) - 1;
}

/* Wake up when the next frame of any link is due. */
static void arm(void)
{
	struct itimerspec when = { 0 };
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < link_count; i++)
		for (int j = 0; j < 2; j++) {
			struct frame *head = links[i]->direction[j].head;

			if (head && head->due_ns < next)
				next = head->due_ns;
		}
	if (next == armed_ns)
		return;
	armed_ns = next;
	if (next != UINT64_MAX)
		when.it_value = (struct timespec){ next / NS, next % NS };
	timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A frame must leave on time although the switches keep every core busy. */
static void be_prompt(void)
{
	struct sched_param parameter = { .sched_priority = 1 };

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	if (sched_setscheduler(0, SCHED_RR, &parameter))
		setpriority(PRIO_PROCESS, 0, -20);
}

int main(void)
{
	if (unshare(CLONE_NEWNET)) {
		printf("error no network namespace: %s\n", strerror(errno));
		return 1;
	}
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	if (poll_fd < 0 || timer_fd < 0 || !watch(timer_fd, TIMER) || !watch(STDIN_FILENO, CONTROL)) {
		printf("error no event loop: %s\n", strerror(errno));
		return 1;
	}
	be_prompt();
	printf("ok\n");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[64];
		int count = epoll_wait(poll_fd, events, 64, -1);
		uint64_t expirations, now;

		if (count < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < count; i++) {
			int which = events[i].data.fd;

			if (which >= 0) {
				receive(&links[which / 2]->direction[which % 2]);
			} else if (which == CONTROL) {
				if (!control())
					return 0;
			} else if (read(timer_fd, &expirations, sizeof(expirations)) > 0) {
				armed_ns = 0;
			}
		}
		now = clock_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < link_count; i++)
			for (int j = 0; j < 2; j++)
				send_due(&links[i]->direction[j], now);
		arm();
	}
}
