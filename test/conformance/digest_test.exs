defmodule Sippet.Conformance.DigestTest do
  # The digest vectors of the corpus, by the arithmetic, by the client and by the server; and the examples of the RFCs.
  use ExUnit.Case, async: true

  alias Sippet.DigestAuth
  alias Sippet.DigestAuth.{Algorithm, Digest, Server}
  alias Sippet.Message
  alias Sippet.Test.{Corpus, JSON}

  @file_of_vectors Corpus.path() && Path.join([Corpus.path(), "vectors", "digest.json"])
  if @file_of_vectors, do: @external_resource(@file_of_vectors)

  @corpus if @file_of_vectors,
            do: JSON.read!(@file_of_vectors),
            else: %{
              "vectors" => [],
              "userhash" => [],
              "header_examples" => [],
              "challenge_choice" => []
            }

  if @file_of_vectors == nil do
    IO.puts("corpus: not found, no digest vector was tried (SIPPET_CORPUS names its place)")
  end

  test "the corpus has vectors" do
    if @file_of_vectors do
      IO.puts("corpus: #{length(@corpus["vectors"])} digest vectors tried")

      counts =
        for key <- ~w(vectors userhash header_examples challenge_choice), do: length(@corpus[key])

      assert counts == [44, 4, 8, 4]
    end
  end

  for %{"name" => name, "inputs" => inputs, "expect" => expect} <- @corpus["vectors"] do
    @inputs inputs
    @expect expect

    test "#{name}: H(A1), H(A2) and response" do
      {algorithm, ha1, key, ha2} = hashes(@inputs)
      stored = if algorithm.session, do: key, else: ha1
      assert stored == @expect["ha1"]
      assert ha2 == @expect["ha2"]
      assert Digest.response(algorithm, key, counted(@inputs), ha2) == @expect["response"]
    end

    # Those of HTTP have a URI and a method that SIP has not.
    if inputs["uri"] =~ ~r/^sips?:/ do
      test "#{name}: the client's credentials, over the wire, are taken by a server" do
        client(@inputs, @expect)
        server(@inputs, @expect)
      end
    end
  end

  for vector <- @corpus["userhash"] do
    @vector vector
    test "#{vector["name"]}: the hash of a name (RFC 7616 §3.4.4)" do
      %{"username" => username, "realm" => realm, "algorithm" => algorithm} = @vector
      assert DigestAuth.userhash(username, realm, algorithm) == @vector["userhash"]
    end
  end

  for {row, index} <- Enum.with_index(@corpus["header_examples"]) do
    @row row
    test "header example #{index}, #{row["source"]}: its parameters, and again when written" do
      %{"header" => header, "value" => value, "expect" => expect} = @row
      message = parse(header, value)
      shown(header, message, expect)
      written = Message.to_string(message)
      again = Message.parse!(written)
      assert Map.delete(again.headers, :content_length) == message.headers
      shown(header, again, expect)
    end
  end

  for row <- @corpus["challenge_choice"] do
    @row row
    test "choice #{row["name"]} (#{row["source"]})" do
      %{"challenges" => challenges, "client_supports" => supports, "expect_index" => index} = @row
      lines = Enum.map_join(challenges, "\r\n", &"WWW-Authenticate: #{&1}")
      response = Message.parse!("SIP/2.0 401 Unauthorized\r\n#{lines}\r\n\r\n")
      request = Message.build_request(:register, "sip:a")
      options = [algorithms: supports]
      auth_fun = fn "a" -> {:ok, "alice", "secret"} end

      case DigestAuth.make_request(request, response, auth_fun, options) do
        {:ok, %{headers: %{authorization: [{"Digest", credentials}]}}} ->
          {"Digest", chosen} = Enum.at(response.headers.www_authenticate, index)
          assert credentials["nonce"] == chosen["nonce"]

        {:error, :invalid_auth_header} ->
          assert index == nil
      end
    end
  end

  describe "RFC 2617 §3.5, RFC 7616 §3.9" do
    test "the example of RFC 2617" do
      inputs = %{
        "algorithm" => "MD5",
        "username" => "Mufasa",
        "realm" => "testrealm@host.com",
        "password" => "Circle Of Life",
        "nonce" => "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "uri" => "/dir/index.html",
        "method" => "GET",
        "qop" => "auth",
        "nc" => "00000001",
        "cnonce" => "0a4f113b"
      }

      assert response(inputs) == "6629fae49393a05397450978507c4ef1"
    end

    test "the examples of RFC 7616 §3.9.1" do
      inputs = %{
        "username" => "Mufasa",
        "realm" => "http-auth@example.org",
        "password" => "Circle of Life",
        "nonce" => "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "uri" => "/dir/index.html",
        "method" => "GET",
        "qop" => "auth",
        "nc" => "00000001",
        "cnonce" => "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
      }

      assert response(Map.put(inputs, "algorithm", "MD5")) == "8ca523f5e9506fed4657c9700eebdbec"

      assert response(Map.put(inputs, "algorithm", "SHA-256")) ==
               "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    end

    test "the example of RFC 7616 §3.9.2, by erratum 4897" do
      inputs = %{
        "algorithm" => "SHA-512-256",
        "username" => "Jäsøn Doe",
        "realm" => "api@example.org",
        "password" => "Secret, or not?",
        "nonce" => "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        "uri" => "/doe.json",
        "method" => "GET",
        "qop" => "auth",
        "nc" => "00000001",
        "cnonce" => "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
      }

      assert response(inputs) ==
               "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"

      assert DigestAuth.userhash("Jäsøn Doe", "api@example.org", "SHA-512-256") ==
               "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    end

    test "SHA-512/256 of \"abc\" (FIPS 180-4)" do
      {:ok, algorithm} = Algorithm.fetch("SHA-512-256")

      assert Algorithm.hash(algorithm, "abc") ==
               "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"

      # Above 16 KiB another scheduler does it.
      long = String.duplicate("a", 1_000_000)

      assert Algorithm.hash(algorithm, long) ==
               "9a59a052930187a97038cae692f30708aa6491923ef5194394dc68d56c74fb21"
    end
  end

  defp hashes(inputs) do
    %{"username" => username, "realm" => realm, "password" => password} = inputs
    {:ok, algorithm} = Algorithm.fetch(inputs["algorithm"])
    {:ok, ha1} = Digest.ha1(algorithm, username, realm, password)
    key = Digest.session(algorithm, ha1, inputs["nonce"], inputs["cnonce"])
    %{"method" => method, "uri" => uri} = inputs

    {algorithm, ha1, key,
     Digest.ha2(algorithm, method, uri, inputs["qop"], inputs["entity_body"])}
  end

  defp counted(inputs) do
    %{
      nonce: inputs["nonce"],
      qop: inputs["qop"],
      nc: inputs["nc"],
      cnonce: inputs["cnonce"]
    }
  end

  defp response(inputs) do
    {algorithm, _ha1, key, ha2} = hashes(inputs)
    Digest.response(algorithm, key, counted(inputs), ha2)
  end

  defp request(inputs) do
    %{Message.build_request(inputs["method"], inputs["uri"]) | body: inputs["entity_body"]}
    |> Message.put_header(:via, [{{2, 0}, :udp, {"h", 5060}, %{"branch" => "z9hG4bK1"}}])
    |> Message.put_header(:from, {"", Sippet.URI.parse!("sip:a@h"), %{"tag" => "1"}})
    |> Message.put_header(:to, {"", Sippet.URI.parse!("sip:a@h"), %{}})
    |> Message.put_header(:call_id, "1")
    |> Message.put_header(:cseq, {1, Message.to_method(inputs["method"])})
  end

  # As 1.x the client gives an ACK the credentials of an INVITE, which is what §22.1 wants.
  defp client(%{"method" => "ACK"} = inputs, expect) do
    {algorithm, _ha1, key, _ha2} = hashes(inputs)
    ha2 = Digest.ha2(algorithm, "INVITE", inputs["uri"], inputs["qop"], "")
    response = Digest.response(algorithm, key, counted(inputs), ha2)
    refute response == expect["response"]
    client(Map.put(inputs, "method", "INVITE"), %{"response" => response})
  end

  # A challenge with the vector's nonce gets the vector's response.
  defp client(inputs, expect) do
    challenge = Map.take(inputs, ["realm", "nonce", "algorithm", "qop"])
    options = if inputs["cnonce"], do: [cnonce: inputs["cnonce"]], else: []

    options =
      if inputs["nc"],
        do: [{:nc, String.to_integer(inputs["nc"], 16)} | options],
        else: options

    response =
      Message.build_response(407)
      |> Message.put_header(:proxy_authenticate, [{"Digest", challenge}])
      |> over_the_wire()

    auth_fun = fn _realm -> {:ok, inputs["username"], inputs["password"]} end

    {:ok, request} = DigestAuth.make_request(request(inputs), response, auth_fun, options)

    request = over_the_wire(request)
    assert [{"Digest", credentials}] = request.headers.proxy_authorization

    assert credentials ==
             inputs
             |> Map.take(["username", "realm", "nonce", "uri", "algorithm", "cnonce", "qop", "nc"])
             |> Map.put("response", expect["response"])
  end

  # The vector's nonce is none of a server of ours. That the response is right is told by `stale`: a wrong one earns
  # `wrong_credentials`. With the server's nonce it is taken.
  defp server(inputs, expect) do
    name = :"digest_#{System.unique_integer([:positive])}"
    qop = List.wrap(inputs["qop"])

    start_supervised!(
      {Server,
       name: name,
       realm: inputs["realm"],
       algorithms: [inputs["algorithm"]],
       qop: qop,
       credentials: fn _name, _realm -> {:ok, inputs["password"]} end}
    )

    credentials =
      inputs
      |> Map.take(["username", "realm", "nonce", "uri", "algorithm", "cnonce", "qop", "nc"])
      |> Map.put("response", expect["response"])

    with_credentials = &Message.put_header(request(inputs), :authorization, [{"Digest", &1}])

    assert {:error, %{reason: :stale_nonce, stale: true}} =
             Server.verify(name, over_the_wire(with_credentials.(credentials)))

    <<digit, rest::binary>> = expect["response"]
    wrong = <<if(digit == ?0, do: ?1, else: ?0), rest::binary>>

    assert {:error, %{reason: :wrong_credentials, stale: false}} =
             Server.verify(name, with_credentials.(%{credentials | "response" => wrong}))

    challenged = request(Map.put(inputs, "method", challengeable(inputs["method"])))
    challenge = name |> Server.challenge(challenged) |> over_the_wire()
    auth_fun = fn _realm -> {:ok, inputs["username"], inputs["password"]} end
    {:ok, answered} = DigestAuth.make_request(request(inputs), challenge, auth_fun)
    assert {:ok, identity} = Server.verify(name, over_the_wire(answered))
    assert identity.username == inputs["username"]
  end

  defp challengeable("ACK"), do: "INVITE"
  defp challengeable(method), do: method

  defp over_the_wire(message), do: message |> Message.to_string() |> Message.parse!()

  defp parse(header, value) do
    start_line =
      if header =~ "Authenticat", do: "SIP/2.0 401 Unauthorized", else: "REGISTER sip:a SIP/2.0"

    message = Message.parse!("#{start_line}\r\n#{header}: #{value}\r\n\r\n")
    assert message.defects == []
    message
  end

  @keys %{
    "WWW-Authenticate" => :www_authenticate,
    "Proxy-Authenticate" => :proxy_authenticate,
    "Authorization" => :authorization,
    "Authentication-Info" => :authentication_info
  }

  defp shown(header, message, expect) do
    {scheme, parameters} =
      case message.headers[@keys[header]] do
        [{scheme, parameters}] -> {scheme, parameters}
        parameters -> {nil, parameters}
      end

    for {name, value} <- expect do
      case {name, value} do
        {"scheme", value} ->
          assert String.downcase(scheme) == String.downcase(value)

        {"qop", list} ->
          assert parameters["qop"] == Enum.join(list, ",")

        {_name, flag} when is_boolean(flag) ->
          assert String.downcase(parameters[name]) == to_string(flag)

        _text ->
          assert parameters[name] == value
      end
    end
  end
end
