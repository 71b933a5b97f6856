// SPDX-License-Identifier: Apache-2.0
// Short requests at a steady rate, and a server that costs next to nothing.
//
//   requests serve ADDRESS PORT                                    until it is killed; prints "ready"
//   requests ask ADDRESS PORT UDP_PER_S TCP_PER_S SECONDS          prints answers of UDP and of TCP
//   requests ping ADDRESS PORT COUNT                               UDP, one after the other; prints ns each
//   requests switch COUNT          two processes on one CPU wake each other; prints ns of CPU time a switch
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS 64

static struct sockaddr_in6 service = {.sin6_family = AF_INET6};
static long udp_answers, tcp_answers;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int new_socket(int kind)
{
	struct timeval patience = {.tv_sec = 1};
	int fd = socket(AF_INET6, kind, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void *serve_udp(void *unused)
{
	struct sockaddr_in6 from;
	int fd = new_socket(SOCK_DGRAM);
	char data[2048];

	if (bind(fd, (struct sockaddr *)&service, sizeof(service)))
		die("bind UDP");
	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &length);

		if (got >= 0)
			sendto(fd, data, got, 0, (struct sockaddr *)&from, length);
	}
	return unused;
}

static void serve(void)
{
	pthread_t thread;
	int fd = new_socket(SOCK_STREAM);
	char data[64];

	if (bind(fd, (struct sockaddr *)&service, sizeof(service)) || listen(fd, 1024))
		die("listen");
	pthread_create(&thread, 0, serve_udp, 0);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int client = accept(fd, 0, 0);

		if (client < 0)
			continue;
		if (recv(client, data, sizeof(data), 0) > 0)
			send(client, data, 16, MSG_NOSIGNAL);
		close(client); // first: the waiting after a connection is on this side
	}
}

static void tcp_request(void)
{
	int fd = new_socket(SOCK_STREAM);
	char data[64] = "request";

	if (!connect(fd, (struct sockaddr *)&service, sizeof(service)) && send(fd, data, 16, MSG_NOSIGNAL) == 16 &&
	    recv(fd, data, sizeof(data), 0) == 16) {
		recv(fd, data, sizeof(data), 0);
		tcp_answers++;
	}
	close(fd);
}

struct pace {
	long per_s;
	double seconds;
	void (*request)(void);
};

static int udp_sockets[SOCKETS];

static void udp_request(void)
{
	static long sent;
	char data[64] = "request";
	int fd = udp_sockets[sent++ % SOCKETS];

	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) >= 0)
		udp_answers++;
	if (send(fd, data, 16, 0) < 0 && errno != ENOBUFS)
		die("send");
}

static void *keep_pace(void *argument)
{
	struct pace *p = argument;
	long long start = now_ns();
	long due = p->per_s * p->seconds;

	for (long i = 0; i < due; i++) {
		long long ahead = start + i * 1000000000LL / p->per_s - now_ns();

		if (ahead > 200000) {
			struct timespec t = {.tv_nsec = ahead};

			nanosleep(&t, 0);
		}
		p->request();
	}
	return 0;
}

static void ask(long udp_per_s, long tcp_per_s, double seconds)
{
	struct pace udp = {udp_per_s, seconds, udp_request}, tcp = {tcp_per_s, seconds, tcp_request};
	pthread_t threads[2];
	char data[64];

	for (int i = 0; i < SOCKETS; i++) {
		udp_sockets[i] = new_socket(SOCK_DGRAM);
		if (connect(udp_sockets[i], (struct sockaddr *)&service, sizeof(service)))
			die("connect");
	}
	pthread_create(&threads[0], 0, keep_pace, &udp);
	pthread_create(&threads[1], 0, keep_pace, &tcp);
	pthread_join(threads[0], 0);
	pthread_join(threads[1], 0);
	usleep(100000);
	for (int i = 0; i < SOCKETS; i++)
		while (recv(udp_sockets[i], data, sizeof(data), MSG_DONTWAIT) >= 0)
			udp_answers++;
	printf("%ld %ld\n", udp_answers, tcp_answers);
}

static void ping(long count)
{
	char data[64] = "request";
	int fd = new_socket(SOCK_DGRAM);

	if (connect(fd, (struct sockaddr *)&service, sizeof(service)))
		die("connect");
	for (long i = 0; i < count; i++) {
		long long began = now_ns();

		if (send(fd, data, 16, 0) < 0 || recv(fd, data, sizeof(data), 0) < 0)
			die("ping");
		printf("%lld\n", now_ns() - began);
	}
}

static double cpu_s(int who)
{
	struct rusage r;

	getrusage(who, &r);
	return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void context_switches(long count)
{
	int there[2], back[2];
	cpu_set_t one;
	char c = 0;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (pipe(there) || pipe(back))
		die("pipe");
	if (!fork()) {
		for (long i = 0; i < count / 2; i++)
			if (read(there[0], &c, 1) != 1 || write(back[1], &c, 1) != 1)
				die("child");
		exit(0);
	}
	for (long i = 0; i < count / 2; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			die("parent");
	wait(0);
	printf("%.1f\n", 1e9 * (cpu_s(RUSAGE_SELF) + cpu_s(RUSAGE_CHILDREN)) / count);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "switch")) {
		context_switches(atol(argv[2]));
		return 0;
	}
	if (argc < 4 || inet_pton(AF_INET6, argv[2], &service.sin6_addr) != 1)
		return 2;
	service.sin6_port = htons(atoi(argv[3]));
	if (!strcmp(argv[1], "serve"))
		serve();
	else if (!strcmp(argv[1], "ask") && argc == 7)
		ask(atol(argv[4]), atol(argv[5]), atof(argv[6]));
	else if (!strcmp(argv[1], "ping") && argc == 5)
		ping(atol(argv[4]));
	else
		return 2;
	return 0;
}
