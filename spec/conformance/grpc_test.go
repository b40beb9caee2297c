package conformance

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	pb "sigs.k8s.io/gateway-api/conformance/echo-basic/grpcechoserver"
	suitegrpc "sigs.k8s.io/gateway-api/conformance/utils/grpc"
)

// grpcClient is the suite's own, on a connection for each call to the stand-in of the Gateway
// that has the address in its status.
type grpcClient struct{ *cluster }

// SendRPC implements the suite's Client.
func (c grpcClient) SendRPC(t *testing.T, address string, expected suitegrpc.ExpectedResponse, timeout time.Duration) (*suitegrpc.Response, error) {
	client := &suitegrpc.DefaultClient{}
	defer client.Close()
	return client.SendRPC(t, c.proxy(address), expected, timeout)
}

// Close implements the suite's Client.
func (grpcClient) Close() {}

// grpcEcho answers as the suite's image echo-basic does to calls of gRPC.
type grpcEcho struct {
	pb.UnimplementedGrpcEchoServer
	namespace, service string
}

// startGRPC starts one.
func (c *cluster) startGRPC(namespace, service string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := grpc.NewServer()
	pb.RegisterGrpcEchoServer(server, &grpcEcho{namespace: namespace, service: service})
	go func() { _ = server.Serve(l) }() // until it is stopped
	c.t.Cleanup(server.Stop)
	return l.Addr().String(), nil
}

func (e *grpcEcho) answer(ctx context.Context) (*pb.EchoResponse, error) {
	method, _ := grpc.Method(ctx)
	a := &pb.Assertions{FullyQualifiedMethod: method, Context: &pb.Context{Namespace: e.namespace, Pod: podName(e.service)}}
	received, _ := metadata.FromIncomingContext(ctx)
	for name, values := range received {
		for _, value := range values {
			if name == ":authority" {
				a.Authority = value
			}
			a.Headers = append(a.Headers, &pb.Header{Key: name, Value: value})
		}
	}
	return &pb.EchoResponse{Assertions: a}, nil
}

// Echo implements the suite's service.
func (e *grpcEcho) Echo(ctx context.Context, _ *pb.EchoRequest) (*pb.EchoResponse, error) {
	return e.answer(ctx)
}

// EchoTwo implements the suite's service.
func (e *grpcEcho) EchoTwo(ctx context.Context, _ *pb.EchoRequest) (*pb.EchoResponse, error) {
	return e.answer(ctx)
}
