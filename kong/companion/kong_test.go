package companion_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"kong-traffic-split/kong/companion"
)

// kong is one of Kong's workers, as far as the functions meet it.
type kong struct {
	*lua.LState
	phases map[string]*lua.LFunction
	now    float64 // in seconds
	timers []timer

	records map[string][]record // what the name server knows; a name that is not there has none
	delay   float64             // until it answers; infinite: it hangs
	cached  map[string]bool

	shared, balancer *lua.LTable
	callback         *lua.LFunction
	retries          int
	changed          []string // what was done to the request and to the answer
	logged           []string
}

type record struct{ address, target string }

type timer struct {
	due float64
	run *lua.LFunction
}

// sandbox lists what Kong's sandbox has of Lua, as far as anybody may miss it.
const sandbox = "assert error ipairs next pairs pcall select tonumber tostring type unpack coroutine math os string table"

// newKong makes a worker that has just begun.
func newKong(t testing.TB) *kong {
	k := &kong{LState: lua.NewState(), records: map[string][]record{}, cached: map[string]bool{}, phases: map[string]*lua.LFunction{}, now: 1000}
	env := k.NewTable()
	for name := range strings.FieldsSeq(sandbox) {
		env.RawSetString(name, k.GetGlobal(name))
	}
	env.RawSetString("kong", k.kong())
	env.RawSetString("ngx", k.ngx())
	for _, f := range companion.Functions() {
		chunk, err := k.LoadString(f.Text)
		if err != nil {
			t.Fatalf("%s: %v", f.Phase, err)
		}
		k.SetFEnv(chunk, env)
		k.Push(chunk)
		k.Call(0, 1)
		k.phases[f.Phase] = k.CheckFunction(-1)
		k.Pop(1)
	}
	t.Cleanup(k.Close)
	k.begin()
	return k
}

// begin begins a request.
func (k *kong) begin() {
	k.shared, k.callback, k.retries, k.changed, k.logged = k.NewTable(), nil, -1, nil, nil
	k.balancer = k.read(`{host = "first", port = 80, connect_timeout = 1, send_timeout = 2, read_timeout = 3, try_count = 0, tries = {}}`).(*lua.LTable)
	k.GetField(k.GetGlobal("theKong"), "ctx").(*lua.LTable).RawSetString("shared", k.shared)
	k.GetField(k.GetGlobal("theNgx"), "ctx").(*lua.LTable).RawSetString("balancer_data", k.balancer)
}

// read returns the value of an expression.
func (k *kong) read(expression string) lua.LValue {
	if err := k.DoString("return " + expression); err != nil {
		panic(err)
	}
	defer k.Pop(1)
	return k.Get(-1)
}

// run runs a phase, and returns how long it took.
func (k *kong) run(phase string) (seconds float64, err error) {
	before := k.now
	err = k.CallByParam(lua.P{Fn: k.phases[phase], Protect: true})
	return k.now - before, err
}

// fail has a try fail with a status, and Kong ask for the next one.
func (k *kong) fail(code int) error {
	count := int(k.balancer.RawGetString("try_count").(lua.LNumber)) + 1
	k.balancer.RawGetString("tries").(*lua.LTable).RawSetInt(count, k.read(fmt.Sprintf("{state = 'failed', code = %d}", code)))
	k.balancer.RawSetString("try_count", lua.LNumber(count))
	if k.callback == nil {
		return nil
	}
	k.balancer.RawSetString("try_count", lua.LNumber(count+1)) // that of the one that begins
	defer k.balancer.RawSetString("try_count", lua.LNumber(count))
	if err := k.CallByParam(lua.P{Fn: k.callback, NRet: 1, Protect: true}); err != nil {
		return err
	}
	defer k.Pop(1)
	if k.Get(-1) != lua.LTrue {
		return fmt.Errorf("the callback returns %v", k.Get(-1))
	}
	return nil
}

func (k *kong) kong() *lua.LTable {
	table := k.read(`{ctx = {}, dns = {}, service = {}, log = {}, response = {}}`).(*lua.LTable)
	k.SetGlobal("theKong", table)
	set := func(in, name string, f lua.LGFunction) {
		table.RawGetString(in).(*lua.LTable).RawSetString(name, k.NewFunction(f))
	}
	set("dns", "resolve", k.resolve)
	set("service", "set_retries", func(l *lua.LState) int { k.retries = l.CheckInt(1); return 0 })
	set("service", "set_target_retry_callback", func(l *lua.LState) int { k.callback = l.CheckFunction(1); return 0 })
	set("log", "err", func(l *lua.LState) int {
		k.logged = append(k.logged, l.CheckString(1)+l.ToStringMeta(l.Get(2)).String())
		return 0
	})
	set("log", "set_serialize_value", k.change("log"))
	set("response", "set_header", k.change("answer"))
	set("response", "clear_header", k.change("answer without"))
	set("response", "get_source", func(l *lua.LState) int { l.Push(lua.LString("service")); return 1 })
	return table
}

func (k *kong) ngx() *lua.LTable {
	table := k.read(`{ctx = {}, req = {}, timer = {}, var = {}}`).(*lua.LTable)
	k.SetGlobal("theNgx", table)
	set := func(in *lua.LTable, name string, f lua.LGFunction) { in.RawSetString(name, k.NewFunction(f)) }
	req := table.RawGetString("req").(*lua.LTable)
	set(req, "set_header", k.change("request"))
	set(req, "clear_header", k.change("request without"))
	set(table, "now", func(l *lua.LState) int { l.Push(lua.LNumber(k.now)); return 1 })
	set(table, "sleep", func(l *lua.LState) int { k.sleep(float64(l.CheckNumber(1))); return 0 })
	set(table.RawGetString("timer").(*lua.LTable), "at", func(l *lua.LState) int {
		k.timers = append(k.timers, timer{k.now + float64(l.CheckNumber(1)) + k.delay, l.CheckFunction(2)})
		l.Push(lua.LTrue)
		return 1
	})
	return table
}

// change records a change of a header or of what is logged. As Kong's, it takes names that are
// texts, and values that are texts or numbers.
func (k *kong) change(what string) lua.LGFunction {
	return func(l *lua.LState) int {
		text := what + " " + l.CheckString(1)
		if l.GetTop() > 1 {
			text += "=" + l.CheckString(2)
		}
		k.changed = append(k.changed, text)
		return 0
	}
}

// sleep passes so much time, in which timers run.
func (k *kong) sleep(seconds float64) {
	end := k.now + seconds
	for {
		i := slices.IndexFunc(k.timers, func(t timer) bool { return t.due <= end })
		if i < 0 {
			break
		}
		next := k.timers[i]
		k.timers = slices.Delete(k.timers, i, i+1)
		k.now = max(k.now, next.due)
		if err := k.CallByParam(lua.P{Fn: next.run, Protect: true}); err != nil {
			panic(err)
		}
	}
	k.now = end
}

// resolve is kong.dns.resolve. There is no toip: it would take a turn among the addresses.
func (k *kong) resolve(l *lua.LState) int {
	name, isCacheOnly := l.CheckString(1), l.ToBool(3)
	if !k.cached[name] && !isCacheOnly {
		if math.IsInf(k.delay, 1) {
			panic("a request waits for a name server that hangs")
		}
		k.cached[name] = k.records[name] != nil
	}
	if !k.cached[name] && isCacheOnly && len(k.timers) > 0 {
		panic("a request waits for a lookup that is under way")
	}
	if !k.cached[name] {
		l.Push(lua.LNil)
		l.Push(lua.LString("dns client error: 100 cache only lookup failed"))
		return 2
	}
	list := l.NewTable()
	for _, r := range k.records[name] {
		one := l.NewTable()
		if r.target != "" {
			one.RawSetString("target", lua.LString(r.target))
		} else {
			one.RawSetString("address", lua.LString(r.address))
		}
		list.Append(one)
	}
	l.Push(list)
	return 1
}
