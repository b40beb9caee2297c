#!/bin/sh
# Kong's command for the stand-in gateway, as far as a container uses it.
case "$1" in
docker-start) exec splitctl standin ;;
health) exec wget -q -O /dev/null http://127.0.0.1:8001/ ;;
*)
	echo "kong: the stand-in's image has no $1" >&2
	exit 1
	;;
esac
